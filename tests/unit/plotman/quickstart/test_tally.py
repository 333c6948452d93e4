from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from common.model.snapshot import Event, Job
from plotman.quickstart.report import rows
from plotman.quickstart.tally import Tally

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def event(kind: str, task_id: str | None = None, plot_id: str | None = None, after_s: float = 1) -> Event:
    at = START + timedelta(seconds=after_s)
    return Event(kind=kind, host="box", at=at, text=f"{kind} of {task_id}", plot_id=plot_id, task_id=task_id)


def job(task_id: str, plot_id: str | None, started_s: float, ours: bool = True) -> Job:
    at = START + timedelta(seconds=started_s)
    return Job(task_id=task_id, plotter="chiapos", pid=1, started_at=at, ours=ours, plot_id=plot_id)


def tally(*events: Event, wanted: int = 2) -> Tally:
    made = Tally(since=START, wanted=wanted)
    for one in events:
        made.hear(one)
    return made


def test_a_plot_that_was_started_made_and_taken_in_has_landed() -> None:
    made = tally(
        event("plot-started", "t1"), event("plot-done", "t1", "aa"), event("archived", "admit1", "aa")
    )
    assert [plot.task_id for plot in made.landed({"aa", "bb"})] == ["t1"]
    assert made.landed({"bb"}) == []


def test_plots_of_earlier_runs_and_of_others_do_not_count() -> None:
    made = tally(event("plot-started", "old", after_s=-5), event("plot-done", "old", "aa"))
    made.see([job("older", "bb", started_s=-60), job("by-hand", "cc", started_s=2, ours=False)])
    assert made.plots == {}


def test_a_plot_whose_events_were_lost_is_known_from_what_runs() -> None:
    made = tally()
    made.see([job("t1", None, started_s=1)])
    made.see([job("t1", "aa", started_s=1)])
    assert [plot.plot_id for plot in made.landed({"aa"})] == ["aa"]


def test_a_failed_plot_is_replaced() -> None:
    made = tally(event("plot-started", "t1"), event("plot-started", "t2"))
    assert made.to_start == 0
    made.hear(event("plot-failed", "t2"))
    assert made.to_start == 1
    assert made.failures == ["plot-failed of t2"]
    made.hear(event("plot-started", "t3"))
    assert made.to_start == 0


def test_when_plotting_was_stopped_the_reason_is_known() -> None:
    assert tally(event("plotting-stopped", "x")).halted == "plotting-stopped of x"


def test_the_report_takes_times_from_the_plot_and_the_proof_from_the_harvester() -> None:
    made = tally(
        event("plot-started", "t1"), event("plot-done", "t1", "aa"), event("archived", "admit1", "aa")
    )
    results = {
        "t1": {"phase_times_s": {"1": 0.5, "4": 0.01}, "total_s": 0.9},
        "admit1": {"verified": "30 of 30 proofs"},
    }
    (row,) = rows(made, {"aa": Path("/farm/drives/2/p.plot")}, results.get)
    assert row.phase_times_s == {1: 0.5, 4: 0.01}
    assert (row.total_s, row.verified) == (0.9, "30 of 30 proofs")


def test_a_plot_whose_results_are_lost_is_still_reported() -> None:
    made = tally(event("plot-started", "t1", "aa"))
    (row,) = rows(made, {"aa": Path("/farm/drives/2/p.plot")}, lambda _: None)
    assert (row.phase_times_s, row.total_s, row.verified) == ({}, None, "yes (how is not kept)")
