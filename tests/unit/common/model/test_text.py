"""Nothing that another machine writes acts on a terminal, forges a line, or becomes a formula."""

from __future__ import annotations

import csv
import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.model.text import cleaned, cleaned_json, csv_cell, json_text, log_text, on_terminal, one_line

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
HOSTILE = "\x1b]0;title\x07\x1b[2J\r\n\x9b31m\u2028\u202e\ud800\x7f\x00"


def acts(text: str) -> set[str]:
    """The characters that would act on a terminal or a line."""
    return {char for char in text if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in BIDI}


@given(st.text(st.characters()))
def test_a_line_has_nothing_that_acts_and_a_terminal_gets_lines_tabs_and_colours_only(text: str) -> None:
    assert acts(one_line(text)) == set()
    assert acts(log_text(text)) <= {"\n", "\t"}
    assert acts(on_terminal(text).replace("\x1b[1;31m", "")) <= {"\n", "\t", "\x1b"}
    assert acts(json_text(text)) == set()
    assert json.loads(json_text(text)) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/mnt/tmp/ä 1\u00a0€", "/mnt/tmp/ä 1\u00a0€"),
        ("\x1b[2J\n1", "\\x1b[2J\\n1"),
        (HOSTILE, "\\x1b]0;title\\x07\\x1b[2J\\r\\n\\x9b31m\\u2028\\u202e\\ud800\\x7f\\x00"),
        (5000 * "\0", 1024 * "\\x00"),
    ],
)
def test_a_line_shows_what_it_escapes_and_is_cut(text: str, shown: str) -> None:
    assert one_line(text) == shown


def test_a_terminal_gets_colours_and_no_other_sequence() -> None:
    assert on_terminal("\x1b[1;31mred\x1b[0m\t\n") == "\x1b[1;31mred\x1b[0m\t\n"
    assert on_terminal("\x1b[2Jx\x1b[31") == "\\x1b[2Jx\\x1b[31"
    assert on_terminal("a\rb") == "a\\rb"


def test_a_log_keeps_its_lines_and_loses_its_colours() -> None:
    assert log_text("1 %\r2 %\r\n\tbucket\n\x1b[31mred\x1b[0m\x1b[2J") == "1 %\n2 %\n\tbucket\nred\\x1b[2J"


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_a_text_that_a_spreadsheet_would_calculate_is_quoted(first: str) -> None:
    assert str(csv_cell(f'{first}HYPERLINK("http://x")')).startswith("'")


def test_numbers_stay_numbers_and_a_cell_stays_a_line() -> None:
    assert [csv_cell(value) for value in (-5, -1.5, None, "-5", "a=b")] == [-5, -1.5, None, "'-5", "a=b"]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow([csv_cell(HOSTILE), csv_cell("b")])
    assert out.getvalue().count("\n") == 1


@given(
    st.recursive(
        st.none() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=8,
    ),
    st.booleans(),
)
def test_json_is_cleaned_as_its_values_are(value: object, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert json.loads(cleaned_json(text)) == cleaned(value)


def test_json_that_is_none_stays_none() -> None:
    for text in ('"\\', '"\\u12', '"\\x', "\\", '"\\ud800"'):
        assert cleaned_json(text) == text
