"""What a button of the farm's page may name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from common.errors import NoSuchPlot, PlotmanError
from plotman.control.actions.holds import HoldAnswers
from plotman.control.farm import NoSuchHost
from plotman.control.rpc import NoAnswer
from plotman.flower.orders import NoSuchOrder, Order, run
from tests.support import showcase


@pytest.mark.parametrize(
    ("order", "error"),
    [
        (Order("format", "p1"), NoSuchOrder),
        (Order("pause", "nowhere"), NoSuchHost),
        (Order("kill", "p1", "all"), NoSuchPlot),
        (Order("kill", "p1", "task-"), NoSuchPlot),
        (Order("kill", "p1", ""), NoSuchPlot),
        (Order("kill", "p2", "task-0001"), NoSuchPlot),
        (Order("suspend", "p3", "task-0007"), NoAnswer),
    ],
    ids=["order", "host", "all", "start of an id", "nothing", "another host", "silent"],
)
def test_an_order_names_one_plot_of_one_host_or_does_nothing(order: Order, error: type[PlotmanError]) -> None:
    with pytest.raises(error):
        run(order, showcase.troubled())


@pytest.mark.parametrize("host", ["all", "/mnt/farm/01"])
def test_a_host_that_is_called_like_the_whole_farm_is_not_drained(host: str) -> None:
    """A machine that may write snapshots could give itself such a name."""
    farm = showcase.small()
    forged = replace(farm, plotters={host: farm.plotters["p1"]})
    with pytest.raises(NoSuchHost):
        run(Order("drain", host), forged)


def test_a_drives_button_drains_that_drive_and_not_its_host(monkeypatch: pytest.MonkeyPatch) -> None:
    drained: list[tuple[list[str], bool]] = []

    def drain(places: list[str], drains: bool, **_: object) -> list[str]:
        drained.append((places, drains))
        return []

    monkeypatch.setattr("plotman.control.actions.holds.drain", drain)
    run(Order("drain", "p1", place="/mnt/farm/01"), showcase.small())
    run(Order("undrain", "p1"), showcase.small())
    assert drained == [(["p1:/mnt/farm/01"], True), (["p1"], False)]


ANY = "\x1b]0;x\x07a\nb"


def test_a_refusal_is_shown_as_one_and_its_words_are_cleaned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [HoldAnswers("p1", "p1 starts no more plots"), HoldAnswers("p2", PlotmanError(f"No.{ANY}"))]
    monkeypatch.setattr("plotman.control.actions.holds.pause", lambda *_, **__: answers)
    outcome = run(Order("pause", "p1"), showcase.small())
    assert not outcome.ok
    assert outcome.text == "p1 starts no more plots\nNo.\\x1b]0;x\\x07a b"
    answers.pop()
    assert run(Order("pause", "p1"), showcase.small()).ok


def test_an_order_for_a_plot_that_its_host_refuses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plotman.control.actions.plots.ask_each", lambda *_, **__: [PlotmanError("No.")])
    with pytest.raises(PlotmanError, match="No"):
        run(Order("suspend", "p1", "task-0001"), showcase.small())


def test_of_a_log_its_end_is_shown_and_no_more_than_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host may send any length."""
    piece = {"text": "x" * 1_000_000 + "the end", "ended": False}
    monkeypatch.setattr("plotman.control.actions.plots.ask", lambda *_, **__: piece)
    text = run(Order("log", "p1", "task-0001"), showcase.small()).text
    assert len(text) == 200_000
    assert text.endswith("the end")
