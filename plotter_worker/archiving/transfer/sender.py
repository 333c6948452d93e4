"""Sends one plot to its reserved part, within this host's bandwidth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from common.config import Config
from common.errors import TicketRefused, TransferFailed
from common.model.messages import Reservation
from common.model.plot_name import plot_id_of
from common.model.ticket import Ticket
from common.store import Board
from common.system import evacuations, statefile
from common.worker.move_step import Stop
from plotter_worker.archiving.transfer.bandwidth import Bandwidth
from plotter_worker.archiving.transfer.local_copy import copy
from plotter_worker.archiving.transfer.progress import TransferProgress
from plotter_worker.archiving.transfer.rsync import Sent, command, run
from plotter_worker.archiving.transfer.transport import SameMachine, SendTransport, transport_to
from plotter_worker.state.operator import OperatorState, operator_state_path


class Sender:
    """board: where harvesters put the tickets to their receivers."""

    def __init__(self, settings: Config, board: Board, rsync: str = "rsync") -> None:
        self._host = settings.host
        self._board = board
        self._rsync = rsync
        self._owner = str(settings.state_dir)
        self.reload(settings)
        self._operator_file = operator_state_path(settings.state_dir)
        self._passwords = settings.state_dir.absolute() / "tickets"
        self.bandwidth = Bandwidth(self.limit_bytes_s)

    def reload(self, settings: Config) -> None:
        """Apply new settings: the bandwidth at once, the routes to the next plot."""
        archiving = settings.archiving
        self._routes = archiving.routes if archiving else {}
        self._configured_bytes_s = archiving.bwlimit_bytes_s if archiving else None
        # Without a plotter, only plots of evacuated drives are sent.
        self._evacuates = None if archiving else settings.state_dir

    @property
    def routed(self) -> tuple[str, ...]:
        """Harvesters that are reached by a route of plotman.yaml instead of a receiver."""
        return tuple(self._routes)

    def remove_old_passwords(self) -> None:
        """Delete the password files of a killed archiver: their receivers are closed."""
        if self._passwords.is_dir():
            for left in self._passwords.iterdir():
                left.unlink(missing_ok=True)

    def limit_bytes_s(self) -> int | None:
        """The limit of all transfers together: the operator's, which the plotter's worker writes to a file,
        else plotman.yaml's; on a machine without a plotter the evacuations'. None: no limit."""
        if self._evacuates is not None:
            limits = [order.bandwidth_bytes_s for order in evacuations.ordered(self._evacuates).values()]
            return min((limit for limit in limits if limit is not None), default=None)
        ordered = None
        if self._operator_file.exists():
            ordered = (
                statefile.read(self._operator_file, OperatorState) or OperatorState()
            ).bandwidth_bytes_s
        return self._configured_bytes_s if ordered is None else ordered or None

    def send(
        self, source: Path, reservation: Reservation, report: Callable[[TransferProgress], None], stop: Stop
    ) -> Sent:
        """Fill the reserved part. The source is never changed.

        Raises:
            TransferFailed: With the cause.
            BrokerError: The ticket cannot be read.
            StepInterrupted: `stop` was set.
        """
        plot_id = plot_id_of(source.name) or ""

        def ticket() -> Ticket | None:
            try:
                return self._board.ticket(reservation.host, self._host, plot_id)
            except TicketRefused as error:
                raise TransferFailed(f"Harvester {reservation.host}: {error.what}", error.cure) from None

        transport = transport_to(
            reservation, self._host, self._routes.get(reservation.host), ticket, self._passwords
        )
        if isinstance(transport, SameMachine):
            return self._copy(source, transport, report, stop)
        return self._rsync_to(transport, source, report, stop)

    def _copy(
        self, source: Path, there: SameMachine, report: Callable[[TransferProgress], None], stop: Stop
    ) -> Sent:
        if not there.over_network:
            return copy(source, there.part, report, stop)
        with self.bandwidth.copying():
            share, slowest = self.bandwidth.share_bytes_s, self.bandwidth.slowest_bytes_s
            return copy(source, there.part, report, stop, share, slowest)

    def _rsync_to(
        self,
        transport: SendTransport,
        source: Path,
        report: Callable[[TransferProgress], None],
        stop: Stop,
    ) -> Sent:
        transport.check()
        paced = transport.paced and self.bandwidth.live
        limited = self.bandwidth.option() if not paced else ()
        pids: list[int] = []

        def started(pid: int) -> None:
            pids.append(pid)
            if paced:
                self.bandwidth.add(pid)

        with transport.opened() as opened:
            argv = command(str(source), opened.target, (*opened.options, *limited), self._rsync)
            try:
                slowest = self.bandwidth.slowest_bytes_s
                return run(argv, report, stop, self._owner, started, opened.environment, slowest)
            except TransferFailed as error:
                if why := transport.explanation():
                    raise TransferFailed(f"{why}.", "The plot goes to another drive.") from error
                raise
            finally:
                for pid in pids:
                    self.bandwidth.remove(pid)
