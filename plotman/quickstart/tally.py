"""Which plots belong to this run, and what became of them, from the farm's events and its drives. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from common.model.snapshot import Event, Job

_ENDED_BADLY = frozenset({"plot-failed", "plot-killed"})


@dataclass
class Plot:
    """A plot of this run. plot_id: None until its log tells it. failed: why; None while it has not."""

    task_id: str
    plot_id: str | None = None
    failed: str | None = None


@dataclass
class Tally:
    """since: aware time; plots that started before it are an earlier run's. wanted: how many plots."""

    since: datetime
    wanted: int
    plots: dict[str, Plot] = field(default_factory=dict)  # by task id
    admitted_by: dict[str, str] = field(default_factory=dict)  # plot id -> task that took it in
    halted: str | None = None  # why no more plots are started, when that needs a person

    def hear(self, event: Event) -> None:
        """Take in something that happened. Hearing it twice does no harm."""
        if event.kind == "plotting-stopped":
            self.halted = event.text
        elif event.kind == "archived":
            if event.plot_id and event.task_id:
                self.admitted_by[event.plot_id] = event.task_id
        elif event.kind == "plot-started" and event.task_id and event.at >= self.since:
            self._plot(event.task_id).plot_id = event.plot_id
        elif event.task_id in self.plots:
            plot = self.plots[event.task_id]
            plot.plot_id = event.plot_id or plot.plot_id
            if event.kind in _ENDED_BADLY:
                plot.failed = event.text

    def see(self, jobs: Iterable[Job]) -> None:
        """Take in what runs: an event may have been lost with the broker."""
        for job in jobs:
            if job.ours and job.started_at >= self.since:
                plot = self._plot(job.task_id)
                plot.plot_id = job.plot_id or plot.plot_id

    def landed(self, on_drives: Collection[str]) -> list[Plot]:
        """This run's plots among those on the drives (plot ids), in the order of their starts."""
        return [plot for plot in self.plots.values() if plot.plot_id in on_drives]

    @property
    def failures(self) -> list[str]:
        """Why plots of this run failed."""
        return [plot.failed for plot in self.plots.values() if plot.failed]

    @property
    def to_start(self) -> int:
        """How many plots must still be started, those that failed replaced."""
        return max(0, self.wanted - len(self.plots) + len(self.failures))

    def _plot(self, task_id: str) -> Plot:
        return self.plots.setdefault(task_id, Plot(task_id))
