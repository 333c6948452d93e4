"""A job as rows of the history: one for each plot that it made, or should have made."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from common.history.rows import End, PlotEnd
from common.system.probe import LOOK_DEADLINE_S, Hanging, Probe
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.records import JobRecord, Outcome
from plotter_worker.plotters.base import DonePlot, Mode, PlotDetails
from plotter_worker.plotters.registry import plotter_for, recognise

_probe = Probe()
# An end that nobody watched was earlier than it was seen. By less than this the plotter's own sum is no
# better: it leaves out the start of its program.
_UNSEEN = timedelta(minutes=2)
_SIZES_KEPT = 1000


class Sizes:
    """Sizes of finished plots. A plot may be archived, and its source deleted, before its plotter's process
    is gone: what was seen of it earlier is remembered. Used by one thread."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def know(self, path: str, size_bytes: int) -> None:
        self._known.pop(path, None)
        self._known[path] = size_bytes
        if len(self._known) > _SIZES_KEPT:
            del self._known[next(iter(self._known))]

    def of(self, path: str | None) -> int | None:
        """None where the file is gone and was never seen, or its drive hangs."""
        if path is None:
            return None
        if path not in self._known:
            try:
                looked = Path(path)
                self.know(path, _probe.run(looked.parent, lambda: looked.stat().st_size, LOOK_DEADLINE_S))
            except (Hanging, OSError):
                return None
        return self._known[path]


def job_of(record: JobRecord) -> TrackedJob:
    """A job that has ended, with what its log tells, if that is still there."""
    recognised = recognise(record.argv, "/")
    job = TrackedJob(record, plotter_for(record.plotter), recognised[1] if recognised else None)
    job.read_log()
    job.close_log()
    return job


def rows_of_end(job: TrackedJob, outcome: Outcome, host: str, sizes: Sizes) -> list[PlotEnd]:
    """A row for each plot that was made, and one for the plot that was not."""
    progress = job.progress
    at = outcome.ended_at
    plots = {plot.plot_id: plot for plot in progress.plots_done}
    if outcome.succeeded:
        for plot in _told(outcome, progress.details):
            plots.setdefault(plot.plot_id, plot)
        return [row_of_plot(job, plot, host, at, sizes) for plot in plots.values()]
    # All are told to be made: then it is the last one's file that is missing.
    failed_id = None if progress.plot_id in plots and not progress.finished else progress.plot_id
    made = [row_of_plot(job, plot, host, at, sizes) for plot in plots.values() if plot.plot_id != failed_id]
    phases = progress.phase_times_s if failed_id else {}
    failed = _row(job, progress.details, host, failed_id).model_copy(
        update={
            "ended_at": at,
            "end": outcome.end or End.FAILED,
            "reason": outcome.reason,
            "started_at": job.record.started_at if not made else _aware(progress.details.begun),
            **{f"phase{phase}_s": taken_s for phase, taken_s in phases.items() if 1 <= phase <= 4},
        }
    )
    return [*made, failed]


def _told(outcome: Outcome, details: PlotDetails) -> Iterator[DonePlot]:
    """The plots of a job as its result has them, for those whose log is gone or lost its last lines."""
    result = outcome.result or {}
    for plot in result.get("plots", ()):
        last = plot.get("plot_id") == result.get("plot_id")
        yield DonePlot(
            plot_id=plot.get("plot_id"),
            path=plot.get("path"),
            total_s=result.get("total_s") if last else None,
            copy_s=result.get("copy_s") if last else None,
            phase_times_s={int(phase): s for phase, s in result.get("phase_times_s", {}).items()}
            if last
            else {},
            details=details,
        )


def row_of_plot(job: TrackedJob, plot: DonePlot, host: str, at: datetime, sizes: Sizes) -> PlotEnd:
    first = not job.progress.plots_done or job.progress.plots_done[0].plot_id == plot.plot_id
    started_at = job.record.started_at if first else _aware(plot.details.begun)
    return _row(job, plot.details, host, plot.plot_id).model_copy(
        update={
            "started_at": started_at,
            "ended_at": _end_of(plot, started_at, at),
            "path": plot.path,
            "size_bytes": sizes.of(plot.path),
            "copy_s": plot.copy_s,
            "total_s": plot.total_s,
            **{f"phase{phase}_s": s for phase, s in plot.phase_times_s.items() if 1 <= phase <= 4},
        }
    )


def _row(job: TrackedJob, details: PlotDetails, host: str, plot_id: str | None) -> PlotEnd:
    record, command = job.record, job.command
    return PlotEnd(
        key=f"{record.task_id}:{plot_id or ''}",
        host=host,
        ended_at=record.accepted_at,
        end=End.DONE,
        plot_id=plot_id,
        task_id=record.task_id,
        plotter=record.plotter,
        mode=None if details.mode is Mode.CPU else details.mode.value,
        version=details.version,
        k=details.k or (command.k if command else None),
        compression=details.compression or (command.compression if command else None),
        tmp=record.tmp or details.tmp,
        tmp2=record.tmp2 or details.tmp2,
        dst=record.dst or details.dst,
        threads=details.threads,
        buckets=details.buckets,
        buffer_mib=details.buffer_mib,
        bitfield=details.bitfield,
        ordered_at=record.accepted_at if record.ours else None,
        log=record.log,
    )


def _end_of(plot: DonePlot, started_at: datetime | None, seen_at: datetime) -> datetime:
    if started_at is None or plot.total_s is None:
        return seen_at
    told = started_at + timedelta(seconds=plot.total_s + (plot.copy_s or 0))
    return told if seen_at - told > _UNSEEN else seen_at


def _aware(local: datetime | None) -> datetime | None:
    """A time that a plotter of this machine told."""
    return local.astimezone(UTC) if local else None
