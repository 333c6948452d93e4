"""Records a plotter host's plots and their archiving in the history (common.history): a row for each plot
that a job made, and one for a plot that failed."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from common.config import Config
from common.history.recorder import Recorder, history_path
from common.history.rows import End, HistoryKind, PlotEnd, Row, TransferEnd
from common.history.store import HistoryFile, reading
from common.model.messages import Admission
from common.model.plot_name import plot_id_of
from common.model.targets import label
from common.names import Role
from common.system.probe import LOOK_DEADLINE_S, Hanging, Probe
from plotter_worker.jobs.estimate import LearnedPlots
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.records import JobRecord, Outcome, Records
from plotter_worker.plotters.base import DonePlot, PlotDetails
from plotter_worker.plotters.registry import plotter_of_job

log = logging.getLogger(__name__)


_LEARNED_FROM = 200  # plots, at the start: a few of each kind


class PlotHistory(Recorder):
    """The history of the plotter's worker: plots, and which of them were archived or refused. Never waits.

    Attributes:
        learned: how long plots take here.
    """

    def __init__(self, settings: Config, changed: Callable[[], None]) -> None:
        self._host = settings.host
        self._tries = history_path(settings.state_dir, Role.ARCHIVER)
        self._jobs = settings.state_dir / "jobs"
        file = history_path(settings.state_dir, Role.PLOTTER)
        super().__init__(file, HistoryKind.PLOTS, changed, settings.history_kept)
        self._last_at: dict[str, datetime] = {}  # task id -> when its last plot was seen
        self.learned = LearnedPlots()
        self._sizes = Sizes()  # used by the recorder's thread

    def start(self) -> None:
        """Start, with the jobs that ended before a former worker was killed, which may have no rows yet."""
        self.later(self._unreported)
        super().start()

    def made(self, job: TrackedJob, new: Sequence[DonePlot]) -> None:
        """Record new plots of a job that makes several: it may run for months. A single plot is recorded when
        its job ends."""
        if not new or job.progress.asked == 1:
            return
        now = datetime.now(UTC)
        last_at, self._last_at[job.task_id] = self._last_at.get(job.task_id), now
        # A log without times: each plot is counted from the end of the one before, if that was seen.
        begun = last_at if len(new) == 1 else None
        self.later(lambda: [row_of_plot(job, plot, self._host, now, self._sizes, begun) for plot in new])

    def ended(self, job: TrackedJob, outcome: Outcome) -> None:
        self._last_at.pop(job.task_id, None)
        self.later(lambda: rows_of_end(job, outcome, self._host, self._sizes))

    def released(self, admission: Admission) -> None:
        """Record a plot that is on its drive and whose source is deleted."""
        now = datetime.now(UTC)
        reservation = admission.reservation
        to_target = reservation.host.startswith(label(""))
        row = TransferEnd(
            key=f"{reservation.path}:{admission.landed}",
            host=self._host,
            ended_at=now,
            end=End.ARCHIVED,
            plot_id=plot_id_of(reservation.path),
            path=reservation.path,
            size_bytes=admission.size_bytes,
            harvester=reservation.host,
            drive=reservation.drive,
            landed=admission.landed,
            reserve_s=reservation.took_s,
            admit_s=None if to_target else admission.took_s,
            verified=admission.verified,
        )

        def rows() -> list[Row]:
            self._sizes.know(reservation.path, admission.size_bytes)
            return [self._with_tries(row)]

        self.later(rows)

    def refused(self, path: str, reason: str) -> None:
        """Record a plot that a harvester refused."""
        row = TransferEnd(
            key=f"{path}:refused:{reason}",
            host=self._host,
            ended_at=datetime.now(UTC),
            end=End.REFUSED,
            plot_id=plot_id_of(path),
            path=path,
            reason=reason,
        )
        self.later(lambda: [self._with_tries(row)])

    def _load(self, file: HistoryFile) -> None:
        for row in reversed(file.page(HistoryKind.PLOTS, _LEARNED_FROM, ends=[End.DONE])):
            self._recorded(row)
        super()._load(file)

    def _recorded(self, row: Row) -> None:
        if isinstance(row, PlotEnd):
            self.learned.add(row)

    def _unreported(self) -> Iterable[Row]:
        for record in Records(self._jobs).all():
            if record.outcome is not None:
                yield from rows_of_end(job_of(record), record.outcome, self._host, self._sizes)

    def _with_tries(self, row: TransferEnd) -> TransferEnd:
        """Add what the archiver recorded of the plot's transfers, if that can be read."""
        assert row.path is not None
        try:
            with reading(self._tries) as file:
                tries = file.of_path(HistoryKind.TRANSFERS, row.path) if file else []
        except (sqlite3.Error, OSError) as error:
            log.debug("the archiver's history cannot be read: %s", error)
            return row
        sent = next((each for each in tries if each.end is End.SENT), None)
        if not isinstance(sent, TransferEnd):
            return row
        known = sent.model_dump(include={"started_at", "transfer_s", "sent_bytes", "rate_bytes_s"})
        missing = {
            name: getattr(sent, name)
            for name in ("harvester", "drive", "size_bytes")
            if getattr(row, name) is None
        }
        return row.model_copy(update=known | missing | {"attempts": len(tries)})


_probe = Probe()
# A job that ended while no worker ran is seen late; then the end comes from the plotter's own total time.
# Below this difference that is not more exact: the total leaves out the start of the program.
_UNSEEN = timedelta(minutes=2)
_SIZES_KEPT = 1000


class Sizes:
    """Remembers sizes: a plot may be archived and deleted before its plotter ends. For one thread."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def know(self, path: str, size_bytes: int) -> None:
        self._known.pop(path, None)
        self._known[path] = size_bytes
        if len(self._known) > _SIZES_KEPT:
            del self._known[next(iter(self._known))]

    def of(self, path: str | None) -> int | None:
        """None if the file does not exist and was never seen, or if its drive hangs."""
        if path is None:
            return None
        if path not in self._known:
            try:
                file = Path(path)
                self.know(path, _probe.run(file.parent, lambda: file.stat().st_size, LOOK_DEADLINE_S))
            except (Hanging, OSError):
                return None
        return self._known[path]


def job_of(record: JobRecord) -> TrackedJob:
    """A job that has ended, with the content of its log if that exists."""
    job = TrackedJob.of_record(record, plotter_of_job(record.plotter))
    job.read_log()
    job.close_log()
    return job


def rows_of_end(job: TrackedJob, outcome: Outcome, host: str, sizes: Sizes) -> list[PlotEnd]:
    """A row for each finished plot, each plot that failed while the job went on, and the one in which it
    ended."""
    progress = job.progress
    at = outcome.ended_at
    plots = {plot.plot_id: plot for plot in progress.plots_done}
    if outcome.succeeded:
        for plot in _of_result(outcome, progress.details):
            plots.setdefault(plot.plot_id, plot)
        return [row_of_plot(job, plot, host, at, sizes) for plot in plots.values()]
    # If the log reports all plots as finished, the last one's file is missing.
    failed_id = None if progress.plot_id in plots and not progress.finished else progress.plot_id
    made = [row_of_plot(job, plot, host, at, sizes) for plot in plots.values() if plot.plot_id != failed_id]
    lost = [_row_of_failure(job, host, at, *failure) for failure in progress.failures]
    if lost and outcome.end is End.FAILED and len(made) + len(lost) >= (progress.asked or 0):
        return [*made, *lost]  # it tried them all
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
    return [*made, *lost, failed]


def _row_of_failure(job: TrackedJob, host: str, at: datetime, number: int, reason: str) -> PlotEnd:
    given = {
        "key": f"{job.task_id}:failed:{number}",
        "ended_at": at,
        "end": End.FAILED,
        "reason": f"plot {number}: {reason}",
    }
    return _row(job, job.progress.details, host, None).model_copy(update=given)


def _of_result(outcome: Outcome, details: PlotDetails) -> Iterator[DonePlot]:
    """The plots in a job's result, for a job whose log was deleted or lost its last lines."""
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


def row_of_plot(
    job: TrackedJob, plot: DonePlot, host: str, at: datetime, sizes: Sizes, begun: datetime | None = None
) -> PlotEnd:
    """The row of a complete plot.

    Args:
        job: that made it.
        plot: as its log has it.
        host: of the plotter.
        at: when it was seen to be complete.
        sizes: of files.
        begun: start of a plot that is not the job's first, if its log does not tell it.
    """
    first = not job.progress.plots_done or job.progress.plots_done[0].plot_id == plot.plot_id
    started_at = job.record.started_at if first else _aware(plot.details.begun) or begun
    return _row(job, plot.details, host, plot.plot_id).model_copy(
        update={
            "started_at": started_at,
            "ended_at": _end_of(plot, started_at, at),
            "path": plot.path,
            "size_bytes": sizes.of(plot.path),
            "copy_s": plot.copy_s,
            "total_s": plot.total_s,
            "steps_s": job.steps_s if first else None,
            **{f"phase{phase}_s": s for phase, s in plot.phase_times_s.items() if 1 <= phase <= 4},
        }
    )


def _row(job: TrackedJob, details: PlotDetails, host: str, plot_id: str | None) -> PlotEnd:
    record = job.record
    return PlotEnd(
        key=f"{record.task_id}:{plot_id or ''}",
        host=host,
        ended_at=record.accepted_at,
        end=End.DONE,
        plot_id=plot_id,
        task_id=record.task_id,
        plotter=record.plotter,
        **job.facts_of(details),
        ordered_at=record.accepted_at if record.ours else None,
        log=record.log,
    )


def _end_of(plot: DonePlot, started_at: datetime | None, seen_at: datetime) -> datetime:
    if started_at is None or plot.total_s is None:
        return seen_at
    by_plotter = started_at + timedelta(seconds=plot.total_s + (plot.copy_s or 0))
    return by_plotter if seen_at - by_plotter > _UNSEEN else seen_at


def _aware(local: datetime | None) -> datetime | None:
    """A local time in a log of this machine, with its time zone."""
    return local.astimezone(UTC) if local else None
