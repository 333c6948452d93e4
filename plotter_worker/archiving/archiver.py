"""The archiver of a plotter host: sends finished plots, and publishes the progress."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.config import Config
from common.config.watch import ConfigWatch
from common.errors import BrokerError, TransferFailed
from common.model.messages import Admission, Delivery, Reservation, TargetOrder
from common.model.plot_name import plot_id_of
from common.model.snapshot import ArchiverSnapshot, Transfer
from common.names import Role
from common.store import Board
from common.system.delivered import DeliveredFile
from common.system.evacuations import ordered
from common.worker import startup
from common.worker.duplicate_host import mark
from common.worker.move_step import MoveHeartbeat, Stop
from common.worker.publisher import Publisher
from common.worker.service import Served, ServiceStep
from plotter_worker.archiving.targets.mover import Mover, mover_of
from plotter_worker.archiving.transfer.progress import TransferProgress, advanced, begun
from plotter_worker.archiving.transfer.rsync import end_orphans
from plotter_worker.archiving.transfer.sender import Sender
from plotter_worker.archiving.transfer.source_digest import digest_of
from plotter_worker.directories.monitors import kept_plot_folders
from plotter_worker.directories.release import lies_in, own_plot, plot_dirs
from plotter_worker.reporting.transfer_history import TransferHistory

log = logging.getLogger(__name__)


class Archiver:
    """Sends plots of one host. Celery runs one transfer at a time; this class allows several."""

    def __init__(self, settings: Config, board: Board, rsync: str = "rsync") -> None:
        self.host = settings.host
        self._owner = str(settings.state_dir)
        self._settings = settings
        self._dirs = tuple(dict.fromkeys((*plot_dirs(settings), *kept_plot_folders(settings.state_dir))))
        self._sender = Sender(settings, board, rsync)
        self._delivered = DeliveredFile(settings.state_dir)
        self._publisher = Publisher(board, Role.ARCHIVER, self._snapshot, mark(settings.state_dir))
        self.board = board
        self.moves = MoveHeartbeat(board, self._publisher.tell)
        self.history = TransferHistory(settings, self._publisher.progressed)
        self._watch = ConfigWatch(settings, Role.ARCHIVER, self._reload, self._publisher)
        self._lock = threading.Lock()
        self._running: dict[str, Transfer] = {}
        # None if harvesters take the plots.
        self.target = mover_of(
            settings, self._dirs, self._show, self._publisher.changed, self._publisher.publish_now
        )

    def start(self) -> None:
        end_orphans(self._owner)
        self._sender.remove_old_passwords()
        if self.target is not None:
            self.target.start()
        self.history.start()
        self._publisher.start()
        self._watch.start()

    def stop(self) -> None:
        self._watch.stop()
        if self.target is not None:
            self.target.stop()
        self._publisher.stop()
        self.history.stop()
        if Role.ARCHIVER not in self._settings.roles:
            # It ran for an evacuation only, and must not count as lost.
            with contextlib.suppress(BrokerError):
                self.board.withdraw(Role.ARCHIVER, self.host)

    def _reload(self, settings: Config) -> None:
        """Apply a changed plotman.yaml. Directories that it no longer names are still emptied."""
        self._dirs = tuple(dict.fromkeys((*plot_dirs(settings), *self._dirs)))
        self._settings = settings
        self._sender.reload(settings)
        if self.target is not None:
            self.target.take_from(self._dirs)

    def send(
        self, reservation: Reservation, report: Callable[[TransferProgress], None], stop: Stop
    ) -> Delivery:
        """Fill the reserved part. If the drive already has a file of the plot's name, only read the source to
        compare both. The source is never changed.

        Raises:
            OrderRefused: The path is no plot of this host.
            TransferFailed: With the cause.
            StepInterrupted: `stop` was set.
        """
        source = own_plot(reservation.path, self._sources)
        before = _status(source)
        digest = self._delivered.digest(reservation.path, reservation.host, before)
        if reservation.landed is not None and not reservation.compare and digest is not None:
            # Never without it: another plotter may have had a file of this name admitted meanwhile.
            return Delivery(reservation=reservation, digest=digest)

        shown = begun(reservation)

        def advance(progress: TransferProgress) -> None:
            self._show(advanced(shown, progress))
            report(progress)

        self._show(shown)
        try:
            if reservation.landed is not None:
                sent = digest_of(source, advance, stop)
            else:
                sent = self._sender.send(source, reservation, advance, stop)
            # The harvester may admit the plot from now on, even if this process or Redis fails: it must not
            # be sent again.
            self._delivered.put(reservation.path, reservation.host, before, sent.digest)
        finally:
            self._show(None, reservation.path)
        log.info(
            "%s was %s in %.1f s",
            source.name,
            "read, for a comparison" if reservation.landed else "sent",
            sent.took_s,
            extra={"action": "sent", "host": self.host, "digest": sent.digest},
        )
        return Delivery(
            reservation=reservation, digest=sent.digest, sent_bytes=sent.sent_bytes, took_s=sent.took_s
        )

    def send_to_target(
        self, target: Mover, order: TargetOrder, report: Callable[[TransferProgress], None], stop: Stop
    ) -> Admission:
        """Copy a plot to a target (see Mover.move), and record the delivery."""
        before = _status(own_plot(order.path, self._dirs))
        admission = target.move(order.path, order.size_bytes, report, stop, order.coming)
        self._delivered.put_target(order.path, admission.reservation.host, before)
        return admission

    def misses(self, path: str) -> bool:
        """Whether a plot does not exist in the directory of ours that it should lie in. A message may name
        any other path, and to look there could take long."""
        return lies_in(path, self._sources) and not Path(path).exists()

    def stays(self, path: str) -> bool:
        """Whether a plot lies on a drive whose evacuation an operator has ended, and was not sent before: a
        message that waited in the queue must not begin to move it."""
        order = ordered(self._settings.state_dir).get(str(Path(path).parent))
        return order is not None and order.ending and self._delivered.sent_from(path) is None

    @property
    def _sources(self) -> tuple[str, ...]:
        """Directories of this machine from which plots are sent: its plotter's, and drives that an operator
        has ordered to be evacuated."""
        return (*self._dirs, *ordered(self._settings.state_dir))

    def sends(self, path: str) -> bool:
        """Whether this plot is being sent, from this path or another."""
        plot_id = plot_id_of(path)
        with self._lock:
            return any(transfer.plot_id == plot_id for transfer in self._running.values())

    def _show(self, transfer: Transfer | None, path: str = "") -> None:
        with self._lock:
            is_new = transfer is not None and transfer.path not in self._running
            if transfer is None:
                self._running.pop(path, None)
            else:
                self._running[transfer.path] = transfer
        if transfer is None:
            self._publisher.publish_now()  # beat decides the next move by it
        elif is_new:
            self._publisher.changed()
        else:
            self._publisher.progressed()

    def _snapshot(self) -> ArchiverSnapshot:
        with self._lock:
            transfers = tuple(self._running.values())
        return ArchiverSnapshot(
            host=self.host,
            at=datetime.now(UTC),
            transfers=transfers,
            bandwidth_bytes_s=self._sender.limit_bytes_s(),
            target=self.target.report if self.target else None,
            routed=self._sender.routed,
            tally=self.history.tally(),
            problems=(
                *startup.problems(),
                *(self.target.problems if self.target else ()),
                *self._watch.problems,
            ),
        )


def _status(source: Path) -> os.stat_result:
    """Read the status of a source before its content. Raises TransferFailed."""
    try:
        return source.lstat()
    except OSError as error:
        raise TransferFailed(f"{source} cannot be read ({error.strerror}).", "Check its drive.") from error


served: Served[Archiver] = Served("This worker does not archive for")
current = served.by


class ArchiverService(ServiceStep):
    """Runs in the worker named archiver@HOST."""

    role = Role.ARCHIVER
    served = served

    def make(self, settings: Config, board: Board, worker: Any) -> Archiver:  # noqa: ARG002
        return Archiver(settings, board)
