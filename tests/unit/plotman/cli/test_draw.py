"""Words of other machines on this terminal."""

from __future__ import annotations

import pytest

from plotman.cli.console import draw
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
