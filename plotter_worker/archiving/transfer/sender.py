"""Sends one plot by the way that leads to its part, within this host's bandwidth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from common.config import Config
from common.errors import TicketRefused, TransferFailed
from common.model.messages import Reservation
from common.model.plot_name import plot_id_of
from common.model.ticket import Ticket
from common.store import Board
from common.system import statefile
from common.worker.move_step import Stop
from plotter_worker.archiving.transfer.bandwidth import Bandwidth
from plotter_worker.archiving.transfer.progress import TransferProgress
from plotter_worker.archiving.transfer.rsync import command
from plotter_worker.archiving.transfer.rsync_process import Sent, run
from plotter_worker.archiving.transfer.transport import transport_to
from plotter_worker.state.operator import OperatorState, steering_path


class Sender:
    """board: for tickets to harvesters' doors."""

    def __init__(self, settings: Config, board: Board, rsync: str = "rsync") -> None:
        self._host = settings.host
        self._board = board
        self._rsync = rsync
        self._owner = str(settings.state_dir)
        self.follow(settings)
        self._steering = steering_path(settings.state_dir)
        self._passwords = settings.state_dir.absolute() / "tickets"
        self.bandwidth = Bandwidth(self.limit_bytes_s)

    def follow(self, settings: Config) -> None:
        """Go by these settings: the bandwidth at once, the routes with the next plot."""
        archiving = settings.archiving
        self._routes = archiving.routes if archiving else {}
        self._configured_bytes_s = archiving.bwlimit_bytes_s if archiving else None

    @property
    def routed(self) -> tuple[str, ...]:
        """Harvesters that are not reached through a door of theirs."""
        return tuple(self._routes)

    def tidy(self) -> None:
        """Remove what a killed archiver left: passwords of doors that are closed by now."""
        if self._passwords.is_dir():
            for left in self._passwords.iterdir():
                left.unlink(missing_ok=True)

    def limit_bytes_s(self) -> int | None:
        """What all transfers may take together now: a person's last word, else plotman.yaml's; None: no
        limit. The plotter's worker, a process of its own, writes that word down."""
        said = None
        if self._steering.exists():
            said = (statefile.read(self._steering, OperatorState) or OperatorState()).bandwidth_bytes_s
        return self._configured_bytes_s if said is None else said or None

    def send(
        self, source: Path, reservation: Reservation, tell: Callable[[TransferProgress], None], stop: Stop
    ) -> Sent:
        """Fill the reserved part. Raises TransferFailed with the cause, BrokerError, LetGo when `stop` was
        set. The source is never changed."""
        plot_id = plot_id_of(source.name) or ""

        def ticket() -> Ticket | None:
            try:
                return self._board.ticket(self._host, plot_id)
            except TicketRefused as error:
                raise TransferFailed(f"Harvester {reservation.host}: {error.what}", error.cure) from None

        way = transport_to(
            reservation, self._host, self._routes.get(reservation.host), ticket, self._passwords
        )
        way.check()
        paced = way.paced and self.bandwidth.live
        limited = self.bandwidth.option() if way.over_network and not paced else ()
        pids: list[int] = []

        def started(pid: int) -> None:
            pids.append(pid)
            if paced:
                self.bandwidth.follow(pid)

        with way.opened() as opened:
            argv = command(str(source), opened.target, (*opened.options, *limited), self._rsync)
            try:
                return run(argv, tell, stop, self._owner, started, opened.environment)
            except TransferFailed as error:
                if why := way.explanation():
                    raise TransferFailed(f"{why}.", "The plot goes to another drive.") from error
                raise
            finally:
                for pid in pids:
                    self.bandwidth.leave(pid)
