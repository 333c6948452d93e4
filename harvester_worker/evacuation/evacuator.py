"""Follows the evacuations of this host's drives: what is left, what comes next, and when one is complete."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path, PurePath

from common.errors import BrokerError, OrderRefused, PlotmanError
from common.model.figures import EVACUATING_MAX
from common.model.messages import EvacuateOrder
from common.model.pending import MoveStep, PendingMove, under_way
from common.model.plot_name import plot_id_of
from common.model.snapshot import DirState, DriveUse, Evacuating, Event, FinishedPlot
from common.model.units import counted
from common.names import MOVE_LIFETIME
from common.store import Board
from common.store.farm_clock import CLOCK
from common.system.delivered import DeliveredFile
from common.system.evacuations import EvacuationOrder
from common.system.probe import Hanging, Probe
from common.worker.move_step import RENEW_S, MoveHeartbeat, Step
from common.worker.publisher import Publisher
from harvester_worker.drives import evacuated
from harvester_worker.drives.plot_index import PlotIndex
from harvester_worker.drives.registry import CHANGE_S, LOOK_S, DriveRegistry
from harvester_worker.evacuation.listing import DriveLister, DriveListing, plot_ids_on, plots_on
from harvester_worker.evacuation.orders import KeptOrders
from harvester_worker.evacuation.release import EvacuatedPlots, lane, put_back_all

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 5.0
_RELEASE_EVERY_S = 1.0  # between two looks at the records of moves
# Reading headers on a failing drive takes long; the drive's own surveys do not wait for it.
_LIST_S = 300.0
_STAYS_SHOWN = 20
_REFUSED = "refused: "
# A move that ended badly may have left its message in a queue: it counts as under way for this long.
_SETTLED = 2 * MOVE_LIFETIME


class Evacuator:
    """One per harvester.

    Args:
        publisher: of the harvester's snapshots and events.
        ended: called with the drive and a sentence when an evacuation is over.
    """

    def __init__(
        self,
        host: str,
        state_dir: Path,
        board: Board,
        drives: DriveRegistry,
        work: Probe,
        plot_index: PlotIndex,
        orders: KeptOrders,
        publisher: Publisher,
        ended: Callable[[str, str], None],
    ) -> None:
        self._host = host
        self._board = board
        self._drives = drives
        self._work = work
        self._plot_index = plot_index
        self.orders = orders
        self._publish = publisher.tell
        self._changed = publisher.changed
        self._publish_now = publisher.publish_now
        self._ended = ended
        self._delivered = DeliveredFile(state_dir)
        self._steps = MoveHeartbeat(board, publisher.tell)
        self._plots = EvacuatedPlots(host, board, orders, work, self._delivered)
        self._listers: dict[str, DriveLister] = {}
        self._entries: dict[str, Evacuating] = {}
        self._released: set[str] = set()  # paths, until a listing no longer has them
        self._idle_since_s: dict[str, float] = {}  # by order, monotonic: since when nothing is under way
        self._ending = threading.Event()
        self._wake = threading.Event()
        self._looking = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="evacuations", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()
        self._wake.set()

    def entries(self) -> tuple[Evacuating, ...]:
        """For the snapshot; does not access a drive."""
        found = []
        for drive, order in self.orders.all().items():
            entry = self._entries.get(drive) or _entry(drive, order, None, ())
            plots = tuple(plot for plot in entry.plots if plot.path not in self._released)
            found.append(entry.model_copy(update={"plots": plots}))
        return tuple(found)

    def begin(self, order: EvacuateOrder) -> EvacuationOrder:
        """Begin to evacuate a drive, which must be drained already.

        Raises:
            OrderRefused: This host has no such drive, or it can not be read and written now.
        """
        drive = order.dir
        if drive not in self._drives.paths():
            known = ", ".join(self._drives.paths()) or "none"
            raise OrderRefused(f"{drive} is not a drive of {self._host}.", f"It has {known}.")
        if self._drives.use_of(drive) is DriveUse.DISABLED:
            raise OrderRefused(f"{drive} is disabled.", "Take it out of harvester.disabled first.")
        state = self._drives.refresh(drive)[drive].report.state
        if state is not DirState.OK:
            raise OrderRefused(
                f"{drive} is {state}: its plots could not be deleted after their copies are made.",
                "Bring it back, or mount it writable: `mount -o remount,rw`.",
            )
        is_new = self.orders.of(drive) is None
        try:
            count, size_bytes = self._work.run(lane(drive), partial(plots_on, drive), CHANGE_S)
            kept = self.orders.add(order, count, size_bytes)
            try:
                self._work.run(lane(drive), partial(evacuated.mark, drive, kept.id), CHANGE_S)
                self.orders.change(drive, marked=True)
            except (OSError, PlotmanError):
                if is_new:
                    self.orders.remove(drive)
                raise
        except (OSError, PlotmanError) as error:
            raise OrderRefused(f"{drive} cannot be evacuated: {error}", "Check the drive.") from error
        # Those that were refused are tried again, also while the board still has the refusal.
        for move in self._moves() or ():
            if str(PurePath(move.path).parent) == drive and (move.reason or "").startswith(_REFUSED):
                with suppress(BrokerError):
                    self._board.drop_move(self._host, move.path)
        self._wake.set()
        return kept

    def end(self, drive: str) -> EvacuationOrder:
        """End an evacuation: no more plot begins to leave. Plots under way are completed first. Raises
        OrderRefused."""
        order = self.orders.of(drive)
        if order is None:
            raise OrderRefused(f"{drive} of {self._host} is not evacuated.", "See `plotman dirs`.")
        try:
            self.orders.change(drive, ending=True)
        except OSError as error:
            raise OrderRefused(f"The end cannot be kept: {error}.", "Free space for farm.state.") from error
        entry = self._entries.get(drive)
        if entry is not None:
            self._entries[drive] = entry.model_copy(update={"ending": True, "plots": ()})
        self._wake.set()
        return order

    def look(self) -> None:
        """List all evacuated drives, and end what is complete."""
        with self._looking:
            orders = self.orders.all()
            self._listers = {
                drive: self._listers.get(drive) or DriveLister(drive, self._drives.must_be_mounted)
                for drive in orders
            }
            if not orders:
                self._entries, self._released = {}, set()
                return
            answers = self._work.run_all(
                [lane(drive) for drive in orders], partial(self._listed, orders), _LIST_S
            )
            moves = self._moves()
            listings = {drive: answers[lane(drive)] for drive in orders}
            others = self._ids_elsewhere(orders, listings) if moves is not None else {}
            for drive, order in orders.items():
                answer = answers[lane(drive)]
                hanging = isinstance(answer, Hanging)
                listing = DriveListing(DirState.HANGING) if hanging else answer
                assert isinstance(listing, DriveListing)
                self._follow(drive, order, listing, moves, others)

    def release_due(self) -> None:
        """Release the plots that their new harvesters have taken in."""
        for move in self._moves() or ():
            drive = str(PurePath(move.path).parent)
            if move.step is not MoveStep.RELEASE or not under_way(move, CLOCK.now()):
                continue
            if self.orders.of(drive) is None or move.path in self._released:
                continue
            try:
                self._release(move, drive)
            except (PlotmanError, OSError) as error:
                log.debug("%s stays: %s", move.path, error)  # its record has the reason

    def _release(self, move: PendingMove, drive: str) -> None:
        plot_id = plot_id_of(move.path)
        step = Step(
            step=MoveStep.RELEASE,
            plotter=self._host,
            harvester=move.harvester,
            path=move.path,
            size_bytes=move.size_bytes,
            host=self._host,
            task_id=move.task_id,
            plot_id=plot_id,
            next=None,
            move=move.move,
        )
        with self._steps.working(step):
            deleted = self._plots.release(move, self._drives.paths())
            if plot_id is not None and self._plot_index.drive_of(plot_id) == drive:
                self._plot_index.forget(plot_id)
            # Before the board drops the move, or beat would order a new one for this plot.
            self._released.add(move.path)
            self._publish_now()
        log.info(
            "%s %s",
            move.path,
            f"deleted: {move.harvester} has it" if deleted else "was deleted before",
            extra={"action": "released", "host": self._host},
        )
        self._drives.refresh(drive)

    def _give_names_back(self) -> None:
        """A drive that failed when its evacuation was ended by force may still have a plot that was set
        aside."""
        for drive in self._drives.paths():
            with suppress(OSError, PlotmanError):
                self._work.run(lane(drive), partial(put_back_all, drive), CHANGE_S)

    def _run(self) -> None:
        self._give_names_back()
        next_look_s = 0.0
        while not self._ending.is_set():
            before = self._entries
            try:
                self.release_due()
                if self._wake.is_set() or time.monotonic() >= next_look_s:
                    self._wake.clear()
                    self._entries = dict(before)
                    self.look()
                    next_look_s = time.monotonic() + _LOOK_EVERY_S
            except Exception:
                log.exception("the evacuated drives could not be followed", extra={"action": "look-failed"})
            if self._entries != before:
                self._changed()
            self._wake.wait(_RELEASE_EVERY_S if self.orders.all() else None)

    def _listed(self, orders: Mapping[str, EvacuationOrder], place: str) -> DriveListing:
        """In the drive's thread."""
        drive, order = next((drive, order) for drive, order in orders.items() if lane(drive) == place)
        try:
            if not order.marked:  # the worker ended before it could note the mark
                evacuated.mark(drive, order.id)
                self.orders.change(drive, marked=True)
            if evacuated.is_marked(drive, order.id):
                put_back_all(drive)
            listing = self._listers[drive].listing(order.id, order.refused, order.since)
            movable = tuple(
                plot.model_copy(update={"copied_to": self._delivered.sent_from(plot.path)})
                for plot in listing.movable
            )
            return replace(listing, movable=movable)
        except (OSError, PlotmanError) as error:
            log.warning("%s cannot be listed: %s", drive, error, extra={"action": "drive-unreadable"})
            return DriveListing(DirState.UNKNOWN)

    def _moves(self) -> list[PendingMove] | None:
        """Records of plots that leave this host; None if Redis does not answer."""
        try:
            return self._board.moves([self._host]).get(self._host, [])
        except BrokerError:
            return None

    def _ids_elsewhere(
        self, orders: Mapping[str, EvacuationOrder], listings: Mapping[str, object]
    ) -> dict[str, frozenset[str]]:
        """Ids of the leaving plots that drives of this host have which stay, by drive."""
        found = [each for each in listings.values() if isinstance(each, DriveListing)]
        leaving = frozenset(plot.plot_id for each in found for plot in each.movable if plot.plot_id)
        if not leaving:
            return {}
        stay = [
            path
            for path in self._drives.paths()
            if path not in orders and self._drives.use_of(path) is not DriveUse.DISABLED
        ]
        answers = self._drives.probe.run_all(stay, partial(plot_ids_on, leaving), LOOK_S)
        return {path: answer for path, answer in answers.items() if isinstance(answer, frozenset)}

    def _follow(
        self,
        drive: str,
        order: EvacuationOrder,
        listing: DriveListing,
        moves: Sequence[PendingMove] | None,
        others: Mapping[str, frozenset[str]],
    ) -> None:
        order = self.orders.of(drive) or order  # an operator may have ended it meanwhile
        here = [move for move in moves or () if str(PurePath(move.path).parent) == drive]
        if listing.state is DirState.OK:
            self._heed(drive, here, listing.names)
        known = {plot_id for ids in others.values() for plot_id in ids}
        late = {move.path: move.attempts + 1 for move in here if move.retry_at is not None or move.attempts}
        plots = [
            plot.model_copy(update={"copied_to": self._holder(plot, known)})
            for plot in listing.movable
            if plot.path not in self._released
        ]
        if order.ending:
            sent = {plot.path for plot in listing.movable if plot.copied_to is not None}
            plots = [plot for plot in plots if plot.path in sent]
        plots.sort(key=lambda plot: (plot.copied_to is None, late.get(plot.path, 0), plot.path))
        if listing.state is DirState.OK:
            self._released &= {plot.path for plot in listing.movable} | {
                path for path in self._released if str(PurePath(path).parent) != drive
            }
        if moves is not None and self._is_complete(order, listing, plots, here):
            self._finish(drive, order, listing, here)
            return
        self._entries[drive] = _entry(drive, order, listing, plots)

    def _holder(self, plot: FinishedPlot, elsewhere: set[str]) -> str | None:
        """The harvester that may have the plot: it was sent there completely, or another drive of this host
        has a file of its id, which must be compared before anything is copied."""
        return plot.copied_to or (self._host if plot.plot_id in elsewhere else None)

    def _heed(self, drive: str, moves: Sequence[PendingMove], names: frozenset[str]) -> None:
        """Remember on disk what the records of moves report, since the board may be wiped. Remove the
        records of plots that have left."""
        refused = {
            PurePath(move.path).name: move.reason
            for move in moves
            if move.retry_at is not None and (move.reason or "").startswith(_REFUSED)
        }
        with suppress(OSError):
            self.orders.refuse(drive, {name: reason for name, reason in refused.items() if reason})
        for move in moves:
            if move.absent and self._delivered.harvester_of(move.path) == move.harvester:
                with suppress(OSError):
                    self._delivered.forget(move.path, move.harvester)
            if not under_way(move, CLOCK.now()) and PurePath(move.path).name not in names:
                with suppress(BrokerError):
                    self._board.drop_move(self._host, move.path)

    def _is_complete(
        self,
        order: EvacuationOrder,
        listing: DriveListing,
        plots: Sequence[FinishedPlot],
        moves: Sequence[PendingMove],
    ) -> bool:
        now = CLOCK.now()
        busy = any(_may_go_on(move, now) for move in moves)
        if not order.ending:
            empty = not listing.left_plots and not listing.arriving
            return listing.state is DirState.OK and empty and not busy
        idle = listing.state is not DirState.OK or (not plots and not busy)
        since_s = self._idle_since_s.setdefault(order.id, time.monotonic())
        if not idle:
            self._idle_since_s[order.id] = time.monotonic()
        # A board that was wiped shows what is under way only after its next renewal.
        return idle and time.monotonic() - since_s > RENEW_S + _LOOK_EVERY_S

    def _finish(
        self, drive: str, order: EvacuationOrder, listing: DriveListing, moves: Sequence[PendingMove]
    ) -> None:
        """First the order, so that nothing is released any more; then its mark."""
        self.orders.remove(drive)
        with suppress(OSError, PlotmanError):
            self._work.run(lane(drive), partial(_left_alone, drive, order.id), CHANGE_S)
        for move in moves:
            with suppress(BrokerError):
                self._board.drop_move(self._host, move.path)
        self._entries.pop(drive, None)
        self._idle_since_s.pop(order.id, None)
        text = _closing_words(drive, order, listing)
        self._ended(drive, text)
        log.info("%s", text, extra={"action": "evacuated", "drive": drive})
        self._publish(Event(kind="evacuated", host=self._host, at=datetime.now(UTC), text=text))


def _left_alone(drive: str, order_id: str) -> None:
    """Make an evacuated drive one like others. Raises OSError."""
    if evacuated.is_marked(drive, order_id):
        put_back_all(drive)
    evacuated.unmark(drive, order_id)


def _may_go_on(move: PendingMove, now: datetime) -> bool:
    """Whether a task may still work on the move, or wait in a queue."""
    return move.retry_at is None and now < move.expires_at + _SETTLED


def _entry(
    drive: str, order: EvacuationOrder, listing: DriveListing | None, plots: Sequence[FinishedPlot]
) -> Evacuating:
    known = listing is not None and listing.state is DirState.OK
    stays = listing.stays if listing is not None else {}
    return Evacuating(
        drive=drive,
        since=order.since,
        to=order.to,
        by=order.by,
        reason=order.reason,
        ending=order.ending,
        total_plots=order.plots,
        total_bytes=order.size_bytes,
        left_plots=listing.left_plots if listing is not None and known else None,
        left_bytes=listing.left_bytes if listing is not None and known else None,
        stays=tuple(f"{name}: {why}" for name, why in list(stays.items())[:_STAYS_SHOWN]),
        stays_count=len(stays),
        stays_plots=listing.kept_plots if listing is not None else 0,
        plots=tuple(plots[:EVACUATING_MAX]),
    )


def _closing_words(drive: str, order: EvacuationOrder, listing: DriveListing) -> str:
    took = datetime.now(UTC) - order.since
    moved = max(0, order.plots - listing.left_plots - listing.kept_plots)
    what = f"the evacuation of {drive} was ended" if order.ending else f"{drive} was evacuated"
    text = f"{what}: {counted(moved, 'plot')} moved in {timedelta(seconds=int(took.total_seconds()))}"
    if listing.state is not DirState.OK:
        return f"{what}; the drive is {listing.state}"
    if listing.left_plots:
        text += f"; {counted(listing.left_plots, 'plot')} not moved"
    if listing.stays:
        shown = "; ".join(f"{name}: {why}" for name, why in list(listing.stays.items())[:_STAYS_SHOWN])
        verb = "stays" if len(listing.stays) == 1 else "stay"
        text += f"; {counted(len(listing.stays), 'file')} {verb}: {shown}"
    return text
