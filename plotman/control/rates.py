"""Rates as people write them."""

from __future__ import annotations

import re

_WORDS = {"OFF": 0, "DEFAULT": None}
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
_LEAST_BYTES_S = 1024


def rate_of(text: str) -> int | None:
    """`80M`, `80MB/s`, `off`, `default` -> bytes a second; 0: no limit; None: as plotman.yaml says. Raises
    ValueError with words for people."""
    words = text.strip().upper()
    if words in _WORDS:
        return _WORDS[words]
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?)B?(?:/S)?", words)
    if match is None:
        raise ValueError(f"{text} is no rate; say 80M, 500K, off or default")
    bytes_s = int(float(match[1]) * _UNITS[match[2]])
    if bytes_s < _LEAST_BYTES_S:
        raise ValueError(f"{text} is too little; say 2K or more, or off")
    return bytes_s
