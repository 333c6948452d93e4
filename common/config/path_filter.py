"""`archiving.env.site_path_filter`: a basic regular expression, which grep matches with the paths of drives.

The C library compiles it as grep does. Python's own expressions are written differently.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Iterable

_NO_REGEX = "is not a regular expression of grep"
_LONGEST = 500
_MOST_REPEATS = 1000  # grep keeps a copy of what is repeated for each: nested, they take all memory
_STRUCT_BYTES = 1024  # regex_t has 64 with glibc and less with musl
_MESSAGE_BYTES = 200

_INTERVAL = re.compile(r"\\\{(\d*),?(\d*)\\\}")
# An escaped letter, a bracket expression, or one letter.
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\[[:.=].*?[:.=]\]|[^\]])*\]|.")


def flaw(pattern: str) -> str | None:
    """Why the drives cannot be matched with `pattern`, as half a sentence; None: they can."""
    if len(pattern) > _LONGEST:
        return f"has {len(pattern)} characters, and {_LONGEST} at most are taken"
    if any(ord(letter) < ord(" ") for letter in pattern):
        return "holds a line break or another control character"
    tokens = _TOKEN.findall(pattern)
    if any(re.fullmatch(r"\\[1-9]", token) for token in tokens):
        return "refers back (\\1), which may take for ever"
    repeats = [int(most or least or 1) for least, most in _INTERVAL.findall(pattern)]
    if math.prod(max(1, number) for number in repeats) > _MOST_REPEATS:
        return f"repeats more than {_MOST_REPEATS} times"
    # grep refuses it, the library takes it for a list of letters.
    if any(token.startswith("[:") and token.endswith(":]") for token in tokens):
        return f"{_NO_REGEX}: a class is written [[:space:]]"
    return _compiled(pattern, ())[0]


def fitting(pattern: str, paths: Iterable[str]) -> list[str]:
    """Those of the paths that `pattern`, which has no flaw, fits."""
    return _compiled(pattern, paths)[1]


def _compiled(pattern: str, paths: Iterable[str]) -> tuple[str | None, list[str]]:
    library = ctypes.CDLL(None)
    regex = ctypes.create_string_buffer(_STRUCT_BYTES)
    code = library.regcomp(regex, pattern.encode("utf-8", "surrogateescape"), 0)
    if code:
        text = ctypes.create_string_buffer(_MESSAGE_BYTES)
        library.regerror(code, regex, text, ctypes.c_size_t(_MESSAGE_BYTES))
        said = text.value.decode("utf-8", "replace")
        return f"{_NO_REGEX}: {said}", []
    try:
        return None, [path for path in paths if _fits(library, regex, path)]
    finally:
        library.regfree(regex)


def _fits(library: ctypes.CDLL, regex: ctypes.Array[ctypes.c_char], path: str) -> bool:
    text = path.encode("utf-8", "surrogateescape")
    return int(library.regexec(regex, text, ctypes.c_size_t(0), None, 0)) == 0
