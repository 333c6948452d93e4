"""Results of tasks, as Flower shows them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from common.errors import OrderRefused, PlotFailed
from common.names import ADMIT, PLOT, RELEASE, RESERVE, TRANSFER
from plotman.flower.tasks import error_text, format_task, outcome


def task(**fields: object) -> SimpleNamespace:
    shown = {"name": PLOT, "state": "STARTED", "result": None, "exception": None, "traceback": None}
    return SimpleNamespace(**{**shown, **fields})


def test_a_failure_shows_its_reason_and_the_last_lines_of_the_log_without_a_traceback() -> None:
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


def test_the_remedy_of_an_error_is_shown_too() -> None:
    assert (
        error_text(repr(OrderRefused("No plot 6b4e.", "Look at status."))) == "No plot 6b4e.\nLook at status."
    )


@pytest.mark.parametrize(
    "exception", ["ZeroDivisionError('division by zero')", "PlotFailed('cut o", "PlotFailed()", "x"]
)
def test_errors_of_others_stay_unchanged(exception: str) -> None:
    assert error_text(exception) is None
    shown = format_task(task(state="FAILURE", result="r", exception=exception, traceback="Traceback ..."))
    assert (shown.result, shown.exception, shown.traceback) == ("r", exception, "Traceback ...")


def test_a_finished_plot_shows_first_its_size_id_and_time() -> None:
    result = repr(
        {"plot_id": "6b4e7375" * 8, "k": 32, "path": "/mnt/dst/a.plot", "total_s": 18342.5, "x": None}
    )
    assert outcome(PLOT, result) == (
        f"k32 6b4e7375 in 5h 5m\nplot_id: {'6b4e7375' * 8}\nk: 32\npath: /mnt/dst/a.plot\ntotal_s: 18342.5"
    )


def test_each_step_of_a_move_shows_its_result() -> None:
    reserved = {"drive": "/farm/1", "host": "h1"}
    results = {
        RESERVE: reserved,
        TRANSFER: {"reservation": reserved, "sent_bytes": 108 * 10**9, "took_s": 600.0},
        ADMIT: {
            "reservation": reserved,
            "verified": "30 challenges, 27 proofs, all valid",
            "landed": "/farm/1/a.plot",
        },
        RELEASE: {"reservation": reserved, "landed": "/farm/1/a.plot"},
    }
    assert {
        name: (outcome(name, repr(result)) or "").splitlines()[0] for name, result in results.items()
    } == {
        RESERVE: "room on /farm/1",
        TRANSFER: "108.0 GB to /farm/1 in 10m 0s (180.0 MB/s)",
        ADMIT: "30 challenges, 27 proofs, all valid; on /farm/1",
        RELEASE: "source deleted; on /farm/1",
    }
    compared = {"reservation": reserved | {"landed": "/farm/1/a.plot"}, "sent_bytes": 0, "took_s": 600.0}
    sentence = (outcome(TRANSFER, repr(compared)) or "").splitlines()[0]
    assert sentence == "nothing was sent: /farm/1/a.plot is there already"
    assert outcome(TRANSFER, "{'of': 'another version'}") == "of: another version"


@pytest.mark.parametrize("result", [None, "", "'p1: no more plots'", "{'plot_id': '6b4e...", "phase 1:2"])
def test_other_results_stay_unchanged(result: str | None) -> None:
    assert format_task(task(state="SUCCESS", result=result)).result == result
