"""What a plotter host reports as events."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from plotman.notifications.notification import of_event
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.outcome import judge_end
from plotter_worker.plotters.base import CommandLine
from plotter_worker.plotters.registry import plotter_for
from plotter_worker.reporting.events import PlotterEvents
from tests.support.paths import LOGS
from tests.unit.plotter_worker.builders import Sink, record


def _made(plotter: str, n: int, log: str, exit_code: int, workers: int = 1) -> Sink:
    """The events of a job whose log grows line by line, seen by workers that replace each other."""
    sink, of_job = Sink(), record(plotter=plotter)
    lines = (LOGS / f"{log}.log").read_bytes().splitlines(keepends=True)
    for worker in range(workers):
        events = PlotterEvents("p1", sink)
        job = TrackedJob(of_job, plotter_for(plotter), CommandLine(plotter, n=n, cwd="/"))
        for line in lines[: len(lines) * (worker + 1) // workers]:
            job.reader.feed(line)
        reported = events.progressed_in(job)
        of_job = job.record = of_job.model_copy(update={"plots_reported": reported})
    events.ended(job, judge_end(job, exit_code, datetime.now(UTC)))
    return sink


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize(
    ("plotter", "n", "log", "exit_code", "made", "done"),
    [
        ("xchplot2", 3, "xchplot2-gplot-n3", 0, 2, 1),
        ("xchplot2", 10, "xchplot2-cancelled", 4, 2, 1),
        ("xchplot2", 3, "xchplot2-failed", 3, 2, 0),
        ("xchplot2", 2, "xchplot2-june-n2", 0, 1, 1),
        ("madmax", 2, "madmax-k18-n2", 0, 1, 1),
        ("chiapos", 1, "chiapos-k18", 0, 0, 1),
        ("chiapos", 1, "chiapos-crash", 1, 0, 0),
    ],
)
def test_the_plots_of_a_job_are_counted_once_by_two_kinds_of_events_whoever_watched(
    plotter: str, n: int, log: str, exit_code: int, made: int, done: int, workers: int
) -> None:
    kinds = _made(plotter, n, log, exit_code, workers).kinds
    assert (kinds.count("plot-made"), kinds.count("plot-done")) == (made, done)
    assert kinds.count("plot-failed") == 1 - done


def test_a_phase_that_begins_is_a_field_of_its_event() -> None:
    events = _made("chiapos", 1, "chiapos-k18", 0, workers=4).events
    phases = [event.phase for event in events if event.kind == "plot-phase"]
    assert len(phases) > 1
    assert None not in phases
    assert phases == sorted(phases)  # type: ignore[type-var]
    assert {event.phase for event in events if event.kind != "plot-phase"} <= {None}


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_of_a_job_of_several_plots_one_notification_is_sent(workers: int) -> None:
    notified = [
        one
        for event in _made("xchplot2", 3, "xchplot2-gplot-n3", 0, workers).events
        if (one := of_event(event))
    ]
    assert [one.kind for one in notified] == ["plot-done"]


def test_a_plot_of_several_is_named_by_its_path() -> None:
    first, _ = [
        event for event in _made("xchplot2", 3, "xchplot2-gplot-n3", 0).events if event.kind == "plot-made"
    ]
    assert first.text == f"a plot of several is done: /mnt/dst/00/plot-k28-{'0' * 64}.gplot"
    assert first.plot_id == "0" * 64
