"""How a task ended, as a farmer reads it in Flower."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from common.errors import OrderRefused, PlotFailed
from common.names import ADMIT, PLOT, RELEASE, RESERVE, TRANSFER
from plotman.flower.results import complaint, format_task, outcome


def task(**fields: object) -> SimpleNamespace:
    shown = {"name": PLOT, "state": "STARTED", "result": None, "exception": None, "traceback": None}
    return SimpleNamespace(**{**shown, **fields})


def test_a_failure_says_why_with_the_last_lines_of_the_log_and_no_traceback() -> None:
    error = PlotFailed(
        "The plotter was ended by SIGKILL in phase 1:2.\nComputing table 2\nProgress update: 0.06"
    )
    shown = format_task(
        task(state="FAILURE", result="6b4e7375 phase 1:2", exception=repr(error), traceback="Traceback ...")
    )
    assert shown.result.splitlines() == [
        "The plotter was ended by SIGKILL in phase 1:2.",
        "Computing table 2",
        "Progress update: 0.06",
    ]
    assert shown.exception is None
    assert shown.traceback is None


def test_the_cure_of_an_error_is_said_too() -> None:
    assert (
        complaint(repr(OrderRefused("No plot 6b4e.", "Look at status."))) == "No plot 6b4e.\nLook at status."
    )


@pytest.mark.parametrize(
    "exception", ["ZeroDivisionError('division by zero')", "PlotFailed('cut o", "PlotFailed()", "x"]
)
def test_what_is_no_error_of_ours_stays_as_it_is(exception: str) -> None:
    assert complaint(exception) is None
    shown = format_task(task(state="FAILURE", result="r", exception=exception, traceback="Traceback ..."))
    assert (shown.result, shown.exception, shown.traceback) == ("r", exception, "Traceback ...")


def test_a_plot_that_is_done_says_first_what_it_is_and_how_long_it_took() -> None:
    result = repr(
        {"plot_id": "6b4e7375" * 8, "k": 32, "path": "/mnt/dst/a.plot", "total_s": 18342.5, "x": None}
    )
    assert outcome(PLOT, result) == (
        f"k32 6b4e7375 in 5h 5m\nplot_id: {'6b4e7375' * 8}\nk: 32\npath: /mnt/dst/a.plot\ntotal_s: 18342.5"
    )


def test_each_step_of_a_plots_way_says_what_it_did() -> None:
    reserved = {"drive": "/farm/1", "host": "h1"}
    said = {
        RESERVE: reserved,
        TRANSFER: {"reservation": reserved, "sent_bytes": 108 * 10**9, "took_s": 600.0},
        ADMIT: {"reservation": reserved, "verified": "30 of 30 proofs", "landed": "/farm/1/a.plot"},
        RELEASE: {"reservation": reserved, "landed": "/farm/1/a.plot"},
    }
    assert {name: (outcome(name, repr(told)) or "").splitlines()[0] for name, told in said.items()} == {
        RESERVE: "room on /farm/1",
        TRANSFER: "108.0 GB to /farm/1 in 10m 0s (180.0 MB/s)",
        ADMIT: "30 of 30 proofs; on /farm/1",
        RELEASE: "source deleted; on /farm/1",
    }
    assert outcome(TRANSFER, "{'of': 'another version'}") == "of: another version"


@pytest.mark.parametrize("result", [None, "", "'p1: no more plots'", "{'plot_id': '6b4e...", "phase 1:2"])
def test_another_result_stays_as_it_is(result: str | None) -> None:
    assert format_task(task(state="SUCCESS", result=result)).result == result
