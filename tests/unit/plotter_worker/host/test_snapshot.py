"""Which finished plots a snapshot lets beat move."""

from __future__ import annotations

from datetime import UTC, datetime

from common.model.snapshot import FinishedPlot, PlotState
from plotter_worker.directories.monitor import DirectorySurvey
from plotter_worker.host.finished_plots import finished_plots, makers
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.records import JobRecord
from plotter_worker.plotters.base import CommandLine
from plotter_worker.plotters.registry import plotter_for
from tests.support.paths import LOGS

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LOG = LOGS / "madmax-k18-n2.log"
FIRST = "a" * 64  # the first plot of that log


def test_a_plot_in_tmp_is_ready_only_when_its_plotter_has_copied_it_though_that_makes_the_next_one() -> None:
    record = JobRecord(
        task_id="t", plotter="madmax", ours=False, accepted_at=NOW, argv=(), process="boot:4711:1"
    )
    job = TrackedJob(record, plotter_for("madmax"), CommandLine("madmax", n=2, cwd="/"))
    path = f"/t1/plot-k18-2026-11-22-11-35-{FIRST}.plot"
    plot = FinishedPlot(path=path, size_bytes=1, state=PlotState.READY, since=NOW, plot_id=FIRST)
    lines = LOG.read_text(encoding="utf-8").splitlines()
    states = []
    for line in lines:
        job.reader.feed(f"{line}\n".encode())
        seen = {"/t1": DirectorySurvey(plots=(plot,))}
        (shown,) = finished_plots(("/t1",), {}, seen, makers([job]), frozenset())
        states.append(shown.state)
    begun = next(number for number, line in enumerate(lines) if line.startswith("Plot Name"))
    copied = next(number for number, line in enumerate(lines) if line.startswith("Copy to"))
    assert set(states[begun:copied]) == {PlotState.OPEN}
    assert set(states[copied:]) == {PlotState.READY}
    assert "Crafting plot 2 out of 2 (2026/11/22 11:35:02)" in lines[begun:copied]
