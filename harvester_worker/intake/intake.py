"""A plot's way in, for those that come from other machines: reservation, door and ticket go together."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from common.errors import BrokerError, DriveFailed
from common.model.messages import Admission, Delivery, Reservation
from common.model.plot_name import PlotName
from common.model.snapshot import Event
from common.store import Board
from common.worker.move_step import Doing, Stop
from harvester_worker.intake.admit import Admitter
from harvester_worker.intake.locks import IntakeLocks
from harvester_worker.intake.reserve import ReserveOrder, Reserver
from harvester_worker.intake.writeback import Writeback
from harvester_worker.receiver.receivers import Doomed, Receivers

log = logging.getLogger(__name__)


class Intake:
    """host: of this harvester. tell: puts an event on the stream; must not raise. make_doors: makes the
    doors, given what to call for a transfer that was ended there."""

    def __init__(
        self,
        host: str,
        board: Board,
        reserver: Reserver,
        admitter: Admitter,
        tell: Callable[[Event], None],
        make_doors: Callable[[Callable[[Doomed], None]], Receivers],
    ) -> None:
        self._host = host
        self._board = board
        self._reserver = reserver
        self._admitter = admitter
        self._tell = tell
        self._doors = make_doors(self._doomed)
        self._arriving = Writeback()
        self._in_hand = IntakeLocks()

    def start(self) -> None:
        """Tidy up after a worker that was killed."""
        self._doors.start()

    def stop(self) -> None:
        """Close the doors. Transfers are cut, and go on where they ended when there is a door again."""
        self._doors.stop()
        self._arriving.stop()

    def reserve(self, order: ReserveOrder) -> Reservation:
        """As Reserver.reserve; for a plotter on another machine that needs one with a door to the part, and
        the ticket to it on the notice board. Asked for anew by another move, what an earlier one still writes
        is ended.

        Raises TransferFailed for a plot that is being taken in, before anything of it is touched; BrokerError
        as well: without a ticket nobody comes in.
        """
        plot_id = order.plot_name().plot_id
        with self._in_hand.reserving(plot_id):
            return self._reserve(order, plot_id)

    def _reserve(self, order: ReserveOrder, plot_id: str) -> Reservation:
        self._close(plot_id, but_for=order.move)
        reservation = self._reserver.reserve(order)
        if reservation.part is None:
            return reservation
        part = Path(reservation.part)
        self._arriving.follow(part)
        if order.source_host == self._host or not order.door:
            return reservation
        begun_bytes = self._reserver.begun_bytes(reservation.drive, part)
        ticket = self._doors.open(
            plot_id, order.source_host, reservation.drive, part, order.move, begun_bytes
        )
        self._board.put_ticket(order.source_host, ticket)
        return reservation

    def admit(self, delivery: Delivery, stop: Stop, doing: Doing | None = None) -> Admission:
        """As Admitter.admit; nobody can write any more from here on, nor have the plot sent anew. A drive
        that gives back other bytes than it got is told of, and the plot goes to another."""
        name = PlotName.parse(Path(delivery.reservation.path).name)
        if name is None:
            return self._admitter.admit(delivery, stop, doing)  # which refuses it
        with self._in_hand.taking_in(name.plot_id):
            self._close(name.plot_id)
            if delivery.reservation.part is not None:
                self._arriving.leave(Path(delivery.reservation.part))
            try:
                return self._admitter.admit(delivery, stop, doing)
            except DriveFailed as error:
                self._drive_failed(name.plot_id, delivery.reservation.drive, str(error))
                raise

    def takes_in(self, plot_id: str | None) -> bool:
        """Whether this plot is being checked now."""
        return self._in_hand.takes_in(plot_id)

    def _doomed(self, ended: Doomed) -> None:
        """A transfer was ended because its drive failed: the plot goes to another, and its plotter is told
        why its rsync lost the connection."""
        text = self._drive_failed(ended.plot_id, ended.drive, ended.reason)
        try:
            self._board.put_ticket(ended.plotter, ended.ticket.ended(text))
        except BrokerError as error:
            log.debug("the plotter does not hear why: %s", error)

    def _drive_failed(self, plot_id: str, drive: str, reason: str) -> str:
        """Tell, and keep the plot off this drive; returns what was told."""
        self._reserver.avoid(plot_id, drive, reason)
        text = f"{drive} failed while it took a plot: {reason}"
        now = datetime.now(UTC)
        self._tell(Event(kind="drive-failed", host=self._host, at=now, text=text, plot_id=plot_id))
        return text

    def _close(self, plot_id: str, but_for: str | None = None) -> None:
        plotter = self._doors.close(plot_id, but_for)
        if plotter is None:
            return
        try:
            self._board.drop_ticket(plotter, plot_id)
        except BrokerError as error:
            log.debug("a ticket to a closed door stays for a while: %s", error)
