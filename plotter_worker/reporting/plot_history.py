"""Records a plotter host's plots and their archiving in the history (common.history)."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from common.config import Config
from common.history.recorder import Recorder, history_path
from common.history.rows import End, HistoryKind, Row, TransferEnd
from common.history.store import reading
from common.model.messages import Admission
from common.model.plot_name import plot_id_of
from common.model.snapshot import Tally
from common.model.targets import label
from common.names import Role
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.records import Outcome, Records
from plotter_worker.reporting.history_rows import Sizes, job_of, row_of_plot, rows_of_end

log = logging.getLogger(__name__)


class PlotHistory:
    """The history of the plotter's worker: plots, and which of them were archived or refused. Never waits."""

    def __init__(self, settings: Config, changed: Callable[[], None]) -> None:
        self._host = settings.host
        self._tries = history_path(settings.state_dir, Role.ARCHIVER)
        self._jobs = settings.state_dir / "jobs"
        self._recorder = Recorder(
            history_path(settings.state_dir, Role.PLOTTER), HistoryKind.PLOTS, changed, settings.history_kept
        )
        self._kept: dict[str, int] = {}  # task id -> number of its plots that are recorded
        self._sizes = Sizes()  # used by the recorder's thread

    def start(self) -> None:
        """Start, with the jobs that ended before a former worker was killed, which may have no rows yet."""
        self._recorder.later(self._unreported)
        self._recorder.start()

    def stop(self) -> None:
        self._recorder.stop()

    def tally(self) -> Tally:
        return self._recorder.tally()

    def progressed(self, job: TrackedJob) -> None:
        """Record finished plots of a job that makes several at once: it may run for months."""
        progress = job.progress
        if len(progress.plots_done) <= self._kept.get(job.task_id, 0):
            return
        self._kept[job.task_id] = len(progress.plots_done)
        now = datetime.now(UTC)

        def rows() -> list[Row]:
            made = [row_of_plot(job, plot, self._host, now, self._sizes) for plot in progress.plots_done]
            return [] if progress.asked == 1 else [*made]  # a single plot is recorded when its job ends

        self._recorder.later(rows)

    def ended(self, job: TrackedJob, outcome: Outcome) -> None:
        self._kept.pop(job.task_id, None)
        self._recorder.later(lambda: rows_of_end(job, outcome, self._host, self._sizes))

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

        self._recorder.later(rows)

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
        self._recorder.later(lambda: [self._with_tries(row)])

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
