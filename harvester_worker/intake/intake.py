"""Intake of plots: joins reservation, receiver, ticket and admission, and keeps them apart for each plot."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from common.errors import BrokerError, DriveFailed, TransferFailed
from common.model.messages import Admission, Delivery, Reservation
from common.model.plot_name import PlotName
from common.model.snapshot import Event
from common.store import Board
from common.worker.move_step import Doing, Stop
from harvester_worker.drives import part_files
from harvester_worker.drives.part_files import Part
from harvester_worker.intake.admit import Admitter
from harvester_worker.intake.reserve import ReserveOrder, Reserver
from harvester_worker.intake.resume import is_arriving
from harvester_worker.intake.writeback import Writeback
from harvester_worker.receiver.receivers import EndedTransfer, Receivers

log = logging.getLogger(__name__)


class IntakeLocks:
    """Keeps the reservation and the admission of one plot apart: a reservation may cut the part that is being
    checked. The board cannot tell: it may have lost the move of a plot whose checks take minutes, and beat
    then orders the plot to be sent again."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._reserving: Counter[str] = Counter()
        self._taking_in: Counter[str] = Counter()

    def takes_in(self, plot_id: str | None) -> bool:
        with self._changed:
            return plot_id in self._taking_in

    @contextlib.contextmanager
    def reserving(self, plot_id: str) -> Iterator[None]:
        """Raise TransferFailed at once for a plot that is being taken in."""
        with self._changed:
            if plot_id in self._taking_in:
                raise TransferFailed(f"{plot_id} is being taken in.", "Wait until that has ended.")
            self._reserving[plot_id] += 1
        try:
            yield
        finally:
            self._left(self._reserving, plot_id)

    @contextlib.contextmanager
    def taking_in(self, plot_id: str) -> Iterator[None]:
        """Wait for a reservation of the same plot, which takes moments. Two may take in one plot at a time,
        since a message may come twice."""
        with self._changed:
            self._changed.wait_for(lambda: plot_id not in self._reserving)
            self._taking_in[plot_id] += 1
        try:
            yield
        finally:
            self._left(self._taking_in, plot_id)

    def _left(self, plots: Counter[str], plot_id: str) -> None:
        with self._changed:
            plots[plot_id] -= 1
            if not plots[plot_id]:
                del plots[plot_id]
            self._changed.notify_all()


class Intake:
    """The way of plots into this harvester; one for the host."""

    def __init__(
        self,
        host: str,
        board: Board,
        reserver: Reserver,
        admitter: Admitter,
        publish: Callable[[Event], None],
        make_receivers: Callable[..., Receivers],
    ) -> None:
        """
        Args:
            publish: Puts an event on the stream; must not raise.
            make_receivers: Makes the receivers, given what they call: `on_ended` and `on_arrived`.
        """
        self._host = host
        self._board = board
        self._reserver = reserver
        self._admitter = admitter
        self._publish = publish
        self._receivers = make_receivers(on_ended=self._transfer_ended, on_arrived=self._arrived)
        reserver.on_failed = self._drive_failed
        self._writeback = Writeback()
        self._locks = IntakeLocks()
        self._newest: dict[Path, object] = {}  # by part: its last arrival, until that is noted

    def start(self) -> None:
        """Clean up after a worker that was killed."""
        self._receivers.start()

    def stop(self) -> None:
        """Close the receivers. This cuts transfers; the next receiver resumes them where they ended."""
        self._receivers.stop()
        self._writeback.stop()

    def reserve(self, order: ReserveOrder) -> Reservation:
        """Reserve as Reserver.reserve does; if the order asks for it, open a receiver for the part and put
        its ticket on the board. For another move of the same plot, end the transfer of the earlier one; that
        of another plotter is ended only if its part is given up.

        Raises:
            TransferFailed: The plot is being taken in; nothing of it was touched. Or as Reserver.reserve.
            BrokerError: The ticket cannot be put on the board.
        """
        plot_id = order.plot_name().plot_id
        with self._locks.reserving(plot_id):
            self._close(plot_id, but_for=order.move, plotter=order.source_host)
            reservation = self._reserver.reserve(order)
            if reservation.part is None:
                return reservation
            part = Path(reservation.part)
            self._newest.pop(part, None)
            self._writeback.watch(part)
            if order.source_host != self._host and order.door:
                begun_bytes = self._reserver.begun_bytes(reservation.drive, part)
                self._close(plot_id, but_for=order.move)
                ticket = self._receivers.open(
                    plot_id,
                    order.source_host,
                    reservation.drive,
                    part,
                    order.move,
                    order.size_bytes,
                    begun_bytes,
                )
                self._board.put_ticket(self._host, order.source_host, ticket)
            return reservation

    def admit(self, delivery: Delivery, stop: Stop, doing: Doing | None = None) -> Admission:
        """Close the plot's receiver, then admit as Admitter.admit does. Of a plot that was reserved for
        another plotter or another move, nothing is touched. If the drive returns other bytes than it
        received, publish that, and keep the plot off this drive."""
        name = PlotName.parse(Path(delivery.reservation.path).name)
        if name is None:
            return self._admitter.admit(delivery, stop, doing)  # refuses it
        self._admitter.must_fit(delivery.reservation)
        with self._locks.taking_in(name.plot_id):
            digest = self._close(name.plot_id, plotter=delivery.reservation.source_host)
            if delivery.reservation.part is not None:
                self._writeback.leave(Path(delivery.reservation.part))
            try:
                return self._admitter.admit(delivery, stop, doing, digest)
            except DriveFailed as error:
                self._reserver.avoid(name.plot_id, delivery.reservation.drive, str(error))
                self._drive_failed(name.plot_id, delivery.reservation.drive, str(error))
                raise

    def arriving(self, parts: Iterable[Part]) -> dict[str, str]:
        """Plot id -> plotter, of those parts whose bytes arrive, or are checked."""
        return {
            part.record.plot_id: part.record.source_host
            for part in parts
            if part.record is not None
            and (self.takes_in(part.record.plot_id) or is_arriving(part, part.record))
        }

    @property
    def takes_plain(self) -> bool:
        """Whether plots of other machines came without TLS since the start."""
        return self._receivers.takes_plain

    def takes_in(self, plot_id: str | None) -> bool:
        """Whether this plot is being checked now."""
        return self._locks.takes_in(plot_id)

    def _transfer_ended(self, ended: EndedTransfer) -> None:
        """Keep the plot off the drive, and put the reason on the board, where its plotter finds why rsync
        lost the connection."""
        text = f"{ended.drive} did not take the plot: {ended.reason}"
        self._reserver.suspect(ended.plot_id, ended.plotter, ended.drive, text)
        try:
            self._board.put_ticket(self._host, ended.plotter, ended.ticket.ended(text))
        except BrokerError as error:
            log.debug("the plotter does not learn why its transfer ended: %s", error)

    def _arrived(self, part: Path, digest: str) -> None:
        """Write the digest into the part's record, where a restart does not lose it."""
        arrival = self._newest[part] = object()

        def note() -> None:
            try:
                part_files.note_digest(part, digest, lambda: self._newest.get(part) is arrival)
            except OSError as error:
                log.debug("the digest of %s is not noted: %s", part, error)
            finally:
                if self._newest.get(part) is arrival:
                    self._newest.pop(part, None)

        # A drive that hangs must not block the receivers.
        threading.Thread(target=note, name=f"digest {part}", daemon=True).start()

    def _drive_failed(self, plot_id: str, drive: str, reason: str) -> None:
        text = f"{drive} failed while it took a plot: {reason}"
        now = datetime.now(UTC)
        self._publish(Event(kind="drive-failed", host=self._host, at=now, text=text, plot_id=plot_id))

    def _close(self, plot_id: str, but_for: str | None = None, plotter: str | None = None) -> str | None:
        """Close as Receivers.close does, and delete the ticket; returns the digest of a plot that arrived."""
        closed = self._receivers.close(plot_id, but_for, plotter)
        if closed is None:
            return None
        try:
            self._board.drop_ticket(self._host, closed.plotter, plot_id)
        except BrokerError as error:
            log.debug("the ticket to a closed receiver stays until it expires: %s", error)
        return closed.digest
