"""Words of other machines on this terminal."""

from __future__ import annotations

import click
import pytest

from plotman.cli.console import as_text, draw
from plotman.cli.watch import show_reasons
from plotman.control.queries.tables import PlainTable
from plotman.control.queries.why import WhyAnswer

HOSTILE = "/dst/\x1b]0;owned\x07\x1b[2J\nplotman: all is well\x9b1A\u2028"


def test_control_characters_in_a_table_do_not_act_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    draw(PlainTable(("path",), ((HOSTILE,),)))
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) == 3
    assert shown.replace("\n", "").isprintable()


def test_control_characters_in_a_reason_do_not_either(capsys: pytest.CaptureFixture[str]) -> None:
    show_reasons([WhyAnswer("h1", "dst", HOSTILE, HOSTILE)])
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) == 2
    assert shown.replace("\n", "").isprintable()


def test_a_remedy_of_several_drives_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    drives = [WhyAnswer("h1", "drive", f"/farm/{number}", "full", "full") for number in range(3)]
    show_reasons([*drives, WhyAnswer("h1", "drive", "/farm/9", "not mounted", "drive")])
    shown = capsys.readouterr().out
    assert shown.count("Mount another drive") == 1
    assert shown.index("/farm/2: full") < shown.index("Mount another drive") < shown.index("/farm/9")
    assert "Mount or repair it" in shown


def test_a_bar_has_the_length_of_its_percent_and_colours_only_whole_cells() -> None:
    table = PlainTable(
        ("path", "%", "state"),
        (("/OK", "50", "OK"), ("/x", "?", "OK?"), ("/y", "140", "--")),
        bars=frozenset({"%"}),
    )
    lines = as_text(table, 80).splitlines()
    assert "━━━━" in lines[2]
    assert "────" in lines[2]
    plain = [click.unstyle(line) for line in lines]
    assert plain[2].startswith("/OK   ━━━━────  50  OK")
    assert plain[3].split() == ["/x", "?", "OK?"]
    assert plain[4].split()[1:] == ["━━━━━━━━", "140", "--"]
    assert lines[3] == plain[3], "what is no whole word of a state has no colour"
    assert as_text(table, None).count("━") == 0
