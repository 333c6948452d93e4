"""Reports what happens on a plotter host: to the log, as events on the board, and to the history."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Protocol

from common.model.phase import Phase
from common.model.snapshot import Event, FinishedPlot
from common.model.units import counted, human_bytes, human_duration
from plotter_worker.jobs.job import AN_OPERATOR, TrackedJob
from plotter_worker.jobs.records import Outcome
from plotter_worker.reporting.plot_history import PlotHistory

log = logging.getLogger(__name__)


class EventSink(Protocol):
    """Gets what is reported, as `Publisher` does."""

    def changed(self) -> None: ...

    def progressed(self) -> None: ...

    def tell(self, event: Event) -> None: ...

    def publish_now(self) -> None: ...


class PlotterEvents:
    """history: None keeps no history. Only `publish_now` may wait."""

    def __init__(self, host: str, sink: EventSink, history: PlotHistory | None = None) -> None:
        self._host = host
        self._sink = sink
        self._history = history
        self._phases: dict[str, tuple[str | None, Phase]] = {}

    def changed(self) -> None:
        """The snapshot changed without an event."""
        self._sink.changed()

    def progressed(self) -> None:
        """The snapshot changed in a way that changes no decision."""
        self._sink.progressed()

    def started(self, job: TrackedJob) -> None:
        self._report_job("plot-started", f"plot started in {job.tmp}, for {job.dst}", job)

    def found(self, job: TrackedJob) -> None:
        where = f" in {job.tmp}" if job.tmp else ""
        self._report_job("plot-found", f"found a {job.plotter.name} plotter{where} that runs already", job)

    def progressed_in(self, job: TrackedJob) -> int:
        """Report each new phase, and each plot of several, as an event; other progress shows only in the
        snapshot. Returns the number of complete plots, for the job's record (`plots_reported`)."""
        progress = job.progress
        reported = len(progress.plots_done)
        if self._history:
            self._history.made(job, progress.plots_done[job.record.plots_reported :])
        self._report_made(job, reported - 1)
        phase = (progress.plot_id, progress.phase)
        if self._phases.get(job.task_id) == phase:
            self._sink.progressed()
            return reported
        self._phases[job.task_id] = phase
        text = f"phase {progress.phase} in {job.tmp}"
        self._report_job("plot-phase", text, job, logging.DEBUG, progress.phase)
        return reported

    def stalled(self, job: TrackedJob, why: str) -> None:
        self._report_job("plot-stalled", f"stalled in {job.tmp}: {why}", job, logging.WARNING)

    def ended(self, job: TrackedJob, outcome: Outcome) -> None:
        self._phases.pop(job.task_id, None)
        if self._history:
            self._history.ended(job, outcome)
        self._report_made(job, len(job.progress.plots_done) - int(outcome.succeeded))
        if outcome.succeeded:
            took_s = (outcome.ended_at - job.record.began_at).total_seconds()
            where = f", in {job.dst}" if outcome.reason is None else f". {outcome.reason}"
            plots = len((outcome.result or {}).get("plots", ())) or 1
            what = "plot done" if plots == 1 else f"{counted(plots, 'plot')} done"
            self._report_job("plot-done", f"{what} in {human_duration(took_s)}{where}", job)
        elif job.killed_by:
            self._sink.changed()  # `killed` reports it when its files are deleted
        elif not outcome.failed:
            self._report_job("plot-ended", f"plotter ended in {job.tmp}: {outcome.reason}", job)
        else:
            self._report_job("plot-failed", f"plot failed in {job.tmp}: {outcome.reason}", job, logging.ERROR)

    def _report_made(self, job: TrackedJob, until: int) -> None:
        """Report plots of a job that makes several. The last one is reported by `plot-done`, so that the two
        kinds of events together count the plots: of those in the record, one is not reported yet."""
        known = max(job.record.plots_reported - 1, 0)
        for plot in job.progress.plots_done[known:until]:
            text = f"a plot of several is done: {plot.path or 'its log names no path'}"
            self._report("plot-made", text, plot_id=plot.plot_id, task_id=job.task_id)

    def suspended(self, job: TrackedJob) -> None:
        self._report_job("plot-suspended", f"plot suspended in {job.tmp}", job)

    def resumed(self, job: TrackedJob) -> None:
        self._report_job("plot-resumed", f"plot resumed in {job.tmp}", job)

    def killed(self, job: TrackedJob, freed_bytes: int) -> None:
        by = f" by {job.killed_by}" if job.killed_by not in (None, AN_OPERATOR) else ""
        self._report_job(
            "plot-killed", f"plot stopped in {job.tmp}{by}, {human_bytes(freed_bytes)} freed", job
        )

    def cleaned_up(self, job: TrackedJob, freed_bytes: int) -> None:
        text = f"unfinished files of the failed plot in {job.tmp} deleted, {human_bytes(freed_bytes)} freed"
        self._report_job("plot-cleaned-up", text, job)

    def leftovers_deleted(self, files: int, freed_bytes: int) -> None:
        self._report("cleaned-up", f"{files} leftover files deleted, {human_bytes(freed_bytes)} freed")

    def died_at_once(self, count: int, limit: int, reason: str) -> None:
        if count >= limit:
            text = (
                f"{counted(count, 'plotter')} in a row died at once, the last: {reason}. No more are "
                f"started; repair it, then `plotman unpause plotting --host {self._host}`"
            )
            self._report("plotting-stopped", text, logging.CRITICAL)
        else:
            self._report(
                "plotter-died", f"a plotter died at once ({count} of {limit}): {reason}", logging.ERROR
            )

    def ready(self, plots: Iterable[FinishedPlot]) -> None:
        self._sink.changed()
        for plot in plots:
            self._report("plot-ready", f"{plot.path} is ready to be moved", plot_id=plot.plot_id)

    def operator_changed(self, text: str) -> None:
        self._report("steered", f"{self._host} {text}")

    def publish_now(self) -> None:
        """Wait until everything reported is on the board."""
        self._sink.publish_now()

    def _report_job(
        self,
        kind: str,
        text: str,
        job: TrackedJob,
        level: int = logging.INFO,
        phase: Phase | None = None,
    ) -> None:
        self._report(kind, text, level, job.progress.plot_id, job.task_id, phase)

    def _report(
        self,
        kind: str,
        text: str,
        level: int = logging.INFO,
        plot_id: str | None = None,
        task_id: str | None = None,
        phase: Phase | None = None,
    ) -> None:
        log.log(level, text, extra={"action": kind, "plot_id": plot_id, "host": self._host})
        now = datetime.now(UTC)
        self._sink.tell(
            Event(
                kind=kind,
                host=self._host,
                at=now,
                text=text,
                plot_id=plot_id,
                task_id=task_id,
                phase=phase,
            )
        )
