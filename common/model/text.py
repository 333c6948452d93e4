"""Texts of other machines, cleaned before a log or a terminal shows them."""

from __future__ import annotations

import re

# Characters that control a terminal or end a line, and halves of surrogate pairs, which no encoding takes.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
LONGEST_TEXT = 4096  # PATH_MAX of Linux


def one_line(text: str, longest: int = LONGEST_TEXT) -> str:
    """Clean a text of another machine for a log or a terminal, and cut it to `longest` characters."""
    return CONTROL.sub("?", text)[:longest]
