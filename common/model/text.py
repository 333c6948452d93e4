"""The only cleaner of texts that came from other machines, before a terminal, log, page, file or program gets
them.

A control character can change a terminal's title or contents, a line end forges a line of a log, a bidi
character reverses what follows. They are shown as Python writes them (`\\x1b`, `\\n`, `\\u202e`), so that two
names that differ look different.
"""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import Any

# Characters that control a terminal or end a line, and halves of surrogate pairs, which no encoding takes.
_CONTROLS = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
CONTROL = re.compile(rf"[\t\n{_CONTROLS}]")
# Bidi characters may be in the name of a folder: shown escaped, but accepted in an order.
_BIDI = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNSAFE = re.compile(rf"[\t\n{_CONTROLS}{_BIDI}]")
_UNSAFE_IN_LINES = re.compile(rf"[{_CONTROLS}{_BIDI}]")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# The set comes first: so Python finds it ten times as fast as an alternative.
_UNSAFE_OR_COLOUR = re.compile(rf"[{_CONTROLS}{_BIDI}](?:(?<=\x1b)\[[0-9;]*m)?")
# In JSON: an escaped character, or a control character that JSON allows.
_SUSPECT_IN_JSON = re.compile(r"[\\\x7f-\x9f\u2028\u2029]")
_IN_JSON = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[\"\\/bfnrt])|[\x7f-\x9f\u2028\u2029]")
_MOST_ESCAPED = 100_000
LONGEST_TEXT = 4096  # PATH_MAX of Linux
# Also the fullwidth forms, which spreadsheets of East Asian languages take for the same.
_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")


def one_line(text: str, longest: int = LONGEST_TEXT) -> str:
    """Escape all that controls a terminal or ends a line, and cut the text to `longest` characters."""
    return _UNSAFE.sub(_escape, text[:longest])[:longest]


def without_controls(text: str) -> str:
    """Escape control characters only. For names that are compared: some contain bidi characters."""
    return CONTROL.sub(_escape, text)


def cleaned(value: Any) -> Any:
    """The value of an answer in JSON, in each of whose texts control characters are escaped."""
    if isinstance(value, str):
        return without_controls(value)
    if isinstance(value, dict):
        return {cleaned(key): cleaned(one) for key, one in value.items()}
    return [cleaned(one) for one in value] if isinstance(value, list | tuple) else value


def cleaned_json(text: str) -> str:
    """The same for JSON that is not parsed yet; nearly all has nothing to clean, which is found at once.

    Raises:
        ValueError: so much of it is escaped that it would take seconds; no plotman writes that.
    """
    if text.isascii() and "\\" not in text and "\x7f" not in text:
        return text  # a twentieth of the time that the search takes
    if not _SUSPECT_IN_JSON.search(text):
        return text
    if next(islice(_IN_JSON.finditer(text), _MOST_ESCAPED, None), None):
        raise ValueError(f"it has more than {_MOST_ESCAPED} escaped characters")
    return _IN_JSON.sub(_escape_in_json, text)


def log_text(text: str) -> str:
    """Clean a plotter's log, which keeps its lines and tabs.

    Colours are removed: they can hide text, and would colour what the terminal shows next. A plotter that
    draws its progress over the same line gets a line for each step.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return _UNSAFE_IN_LINES.sub(_escape, _COLOUR.sub("", lines))


def on_terminal(text: str) -> str:
    """Escape all but lines, tabs and colours: what our own output consists of."""
    return _UNSAFE_OR_COLOUR.sub(lambda found: found[0] if len(found[0]) > 1 else _escape(found), text)


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON in ASCII, control characters escaped; Python's own leaves DEL as it is."""
    return json.dumps(value, indent=indent).replace("\x7f", "\\u007f")


def csv_cell(value: object) -> object:
    """A value for CSV. A text that a spreadsheet would calculate gets a leading `'`; numbers stay numbers."""
    if not isinstance(value, str):
        return value
    text = one_line(value)
    return f"'{text}" if text.startswith(_FORMULA) or value[:1] in ("\t", "\r") else text


def _escape_in_json(found: re.Match[str]) -> str:
    code = int(found[1], 16) if found[1] else None
    if code is not None and 0xD800 <= code < 0xE000:
        return found[0]  # half of a pair; the parser refuses single halves
    text: str = json.loads(f'"{found[0]}"') if found[0].startswith("\\") else found[0]
    return json.dumps(without_controls(text))[1:-1] if CONTROL.search(text) else found[0]


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
