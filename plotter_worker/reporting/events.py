"""What a plotter host tells: to people in the log, to the farm as events, to beat by both."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Protocol

from common.model.phase import Phase
from common.model.snapshot import Event, FinishedPlot
from common.model.units import counted, human_bytes, human_duration
from plotter_worker.jobs.job import A_PERSON, TrackedJob
from plotter_worker.jobs.records import Outcome
from plotter_worker.reporting.plot_history import PlotHistory

log = logging.getLogger(__name__)


class EventSink(Protocol):
    """Where news goes; none may wait (common.worker.publisher.Publisher)."""

    def changed(self) -> None: ...

    def progressed(self) -> None: ...

    def tell(self, event: Event) -> None: ...

    def publish_now(self) -> None:
        """The exception: it waits until all of it stands on the board."""
        ...


class PlotterEvents:
    """history: None keeps none."""

    def __init__(self, host: str, outlet: EventSink, history: PlotHistory | None = None) -> None:
        self._host = host
        self._outlet = outlet
        self._history = history
        self._phases: dict[str, tuple[str | None, Phase]] = {}

    def changed(self) -> None:
        """The snapshot changed in a way that is no event."""
        self._outlet.changed()

    def progressed(self) -> None:
        """The snapshot changed in a way on which nothing is decided."""
        self._outlet.progressed()

    def started(self, job: TrackedJob) -> None:
        self._say("plot-started", f"plot started in {job.tmp}, for {job.dst}", job)

    def found(self, job: TrackedJob) -> None:
        where = f" in {job.tmp}" if job.tmp else ""
        self._say("plot-found", f"found a {job.plotter.name} plotter{where} that runs already", job)

    def moved(self, job: TrackedJob) -> None:
        """An event for each new phase; the rest only shows in the snapshot."""
        if self._history:
            self._history.moved(job)
        progress = job.progress
        phase = (progress.plot_id, progress.phase)
        if self._phases.get(job.task_id) == phase:
            self._outlet.progressed()
            return
        self._phases[job.task_id] = phase
        self._say("plot-phase", f"phase {progress.phase} in {job.tmp}", job, level=logging.DEBUG)

    def stalled(self, job: TrackedJob, why: str) -> None:
        self._say("plot-stalled", f"stalled in {job.tmp}: {why}", job, logging.WARNING)

    def ended(self, job: TrackedJob, outcome: Outcome) -> None:
        self._phases.pop(job.task_id, None)
        if self._history:
            self._history.ended(job, outcome)
        if outcome.succeeded:
            took_s = (outcome.ended_at - job.record.began_at).total_seconds()
            self._say("plot-done", f"plot done in {human_duration(took_s)}, in {job.dst}", job)
        elif job.killed_by:
            self._outlet.changed()  # whoever ended it tells, when its files are gone
        elif not outcome.failed:
            self._say("plot-ended", f"plotter ended in {job.tmp}: {outcome.reason}", job)
        else:
            self._say("plot-failed", f"plot failed in {job.tmp}: {outcome.reason}", job, logging.ERROR)

    def suspended(self, job: TrackedJob) -> None:
        self._say("plot-suspended", f"plot suspended in {job.tmp}", job)

    def resumed(self, job: TrackedJob) -> None:
        self._say("plot-resumed", f"plot goes on in {job.tmp}", job)

    def killed(self, job: TrackedJob, freed_bytes: int) -> None:
        by = f" by {job.killed_by}" if job.killed_by not in (None, A_PERSON) else ""
        self._say("plot-killed", f"plot stopped in {job.tmp}{by}, {human_bytes(freed_bytes)} freed", job)

    def cleaned_up(self, job: TrackedJob, freed_bytes: int) -> None:
        text = f"unfinished files of the failed plot in {job.tmp} deleted, {human_bytes(freed_bytes)} freed"
        self._say("plot-cleaned-up", text, job)

    def leftovers_deleted(self, files: int, freed_bytes: int) -> None:
        self._tell("cleaned-up", f"{files} leftover files deleted, {human_bytes(freed_bytes)} freed")

    def died_at_once(self, count: int, limit: int, reason: str) -> None:
        if count >= limit:
            text = (
                f"{counted(count, 'plotter')} in a row died at once, the last: {reason}. No more are "
                f"started; mend it, then `plotman unpause plotting --host {self._host}`"
            )
            self._tell("plotting-stopped", text, logging.CRITICAL)
        else:
            self._tell(
                "plotter-died", f"a plotter died at once ({count} of {limit}): {reason}", logging.ERROR
            )

    def ready(self, plots: Iterable[FinishedPlot]) -> None:
        self._outlet.changed()
        for plot in plots:
            self._tell("plot-ready", f"{plot.path} is ready to be moved", plot_id=plot.plot_id)

    def steered(self, text: str) -> None:
        self._tell("steered", f"{self._host} {text}")

    def publish_now(self) -> None:
        """Wait until all that was told stands on the board."""
        self._outlet.publish_now()

    def _say(self, kind: str, text: str, job: TrackedJob, level: int = logging.INFO) -> None:
        self._tell(kind, text, level, job.progress.plot_id, job.task_id)

    def _tell(
        self,
        kind: str,
        text: str,
        level: int = logging.INFO,
        plot_id: str | None = None,
        task_id: str | None = None,
    ) -> None:
        log.log(level, text, extra={"action": kind, "plot_id": plot_id, "host": self._host})
        self._outlet.tell(
            Event(
                kind=kind,
                host=self._host,
                at=datetime.now(UTC),
                text=text,
                plot_id=plot_id,
                task_id=task_id,
            )
        )
