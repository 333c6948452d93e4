"""Replaces one old plot after the other, and finds out what became of the one in work after a restart."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from sqlite3 import Error as SqliteError

from common.errors import OrderRefused, PlotmanError
from common.model.replot import OldClass
from common.model.replot_order import ReplotOrder
from common.model.replot_victims import DriveId
from common.model.replot_victims import Victim as Choice
from common.model.units import counted, human_bytes
from common.system.probe import Hanging
from harvester_worker.drives.registry import CHANGE_S
from harvester_worker.intake.arrival import FLUSH_S
from harvester_worker.inventory.store import StoredFile
from harvester_worker.replot import candidates, ledger, removal
from harvester_worker.replot.candidates import Found
from harvester_worker.replot.journal import Journal, JournalFile, Victim, VictimStep, now_utc
from harvester_worker.replot.removal import NotNow, Removal, Stays
from harvester_worker.replot.rule import DriveRoom, choose, why_not
from harvester_worker.replot.settings import ReplotSettings
from harvester_worker.replot.surroundings import Surroundings, lane, there_now

log = logging.getLogger(__name__)

# A file or a drive that failed is left alone for this long.
SKIP_S = 3600.0
DRIVE_SKIP_S = 600.0


class DriveNotNow(NotNow):
    """The drive forbids it now. closed: as in DriveRoom."""

    def __init__(self, drive: str, closed: str) -> None:
        super().__init__(f"{drive} {closed}.")
        self.closed = closed


class Replacer:
    """One per harvester; its methods are called by one thread.

    why: what the order waits for, a sentence. left: plots and bytes of each class; None: not known yet.
    """

    def __init__(
        self,
        around: Surroundings,
        journal: JournalFile,
        settings: Callable[[], ReplotSettings],
        history: Callable[[Victim], None],
        tell: Callable[[str, str, Victim | None], None],
    ) -> None:
        """
        Args:
            around: the harvester.
            journal: in its file.
            settings: of this machine's plotman.yaml, as they are now.
            history: gets each plot that was deleted, some twice.
            tell: publishes an event: kind, sentence, and the plot.
        """
        self._around = around
        self._journal = journal
        self._settings = settings
        self._history = history
        self._tell = tell
        self.why = "it has just begun"
        self.left: Mapping[str, tuple[int, int]] | None = None
        self._skipped: dict[tuple[str, str], float] = {}  # drive and name: until when, monotonic
        self._failed: dict[
            str, tuple[float, str]
        ] = {}  # by drive: until when, monotonic, and DriveRoom.closed
        self._problem = ""  # the last file or drive that failed, and why
        self._told: Victim | None = None  # the last deletion that was published

    def recover(self) -> None:
        """Find out what became of the plot in work. Raises OrderRefused, OSError, Hanging.

        A plot that may be deleted counts as deleted if its drive does not answer, and the operator has given
        the drive up."""
        victim = self._journal.now.victim
        if victim is not None:
            must_be_mounted = self._around.drives.must_be_mounted
            deleted, stays = partial(self._settle, victim), partial(self._keep, victim)
            work = partial(removal.recover, victim, must_be_mounted, deleted, stays)
            try:
                self._around.work.run(lane(victim.drive), work, FLUSH_S)
            except (OSError, Hanging, OrderRefused):
                if self._settings().names_drive(victim.drive):
                    raise
                (deleted if victim.step is VictimStep.DELETING else stays)()
        self._tell_last()

    def give_names_back(self) -> None:
        """At the start: for plots that were set aside and are in no journal."""
        victim, last = self._journal.now.victim, self._journal.now.last
        for drive in self._around.drives.paths():
            if victim is None or victim.drive != drive:
                with suppress(OSError, PlotmanError):
                    self._around.work.run(lane(drive), partial(removal.give_back, drive), CHANGE_S)
        if last is not None:
            self._history(last)
        self._told = last

    def once(self) -> bool:
        """Delete one old plot, if one may go. Returns whether one was deleted; else `why` has the reason."""
        journal, order = self._journal.now, self._journal.now.order
        settings = self._settings()
        if order is None or journal.done or journal.paused is not None or settings.why_not is not None:
            return False
        found = self._found(order)
        if found is None:
            return False
        choice = self._chosen(journal, order, settings, found)
        if isinstance(choice, str):
            self.why = choice
            return False
        return self._replace(order, choice, found.first[choice])

    def _found(self, order: ReplotOrder) -> Found | None:
        """The plots that may go; None: there is none now."""
        inventory, host = self._around.inventory, self._around.host
        if inventory.store is None:
            self.why = "the inventory is not open"
            return None
        classes = [one.old for one in order.classes]
        found = candidates.find(inventory.store, host, inventory.counting(), classes, self._stays)
        self.left = found.left
        if not found.first:
            self._end(found, inventory.unread())
            return None
        return found

    def _end(self, found: Found, unread: list[str]) -> None:
        plots = sum(plots for plots, _ in found.left.values())
        if unread:
            self.why = f"these drives are not read completely: {', '.join(unread)}"
        elif plots:
            self.why = f"{counted(plots, 'plot')} of the classes may not be deleted. {self._problem}".strip()
        else:
            self._journal.change(lambda now: now.model_copy(update={"done": True}))
            self._tell("replot-done", "has no plots of the classes left: the order is done", None)

    def _chosen(
        self, journal: Journal, order: ReplotOrder, settings: ReplotSettings, found: Found
    ) -> Choice | str:
        """The plot that may go now, or why there is none."""
        now = now_utc()
        begun = {n for n, one in enumerate(order.classes) if one.not_before is None or one.not_before <= now}
        due = [victim for victim in found.first if victim.number in begun]
        if not due:
            first = min((one.not_before for one in order.classes if one.not_before is not None), default=now)
            return f"the next class begins at {first:%Y-%m-%d %H:%M} UTC"
        if len(journal.arrived) >= ledger.ARRIVED_MOST:
            return f"{counted(len(journal.arrived), 'new plot')} have arrived: stop the order, and begin anew"
        rooms = self._rooms(journal)
        known = [victim for victim in due if victim.drive in rooms]
        return choose(known, rooms, ledger.account(journal, now.date()), settings.limits(order))

    def _rooms(self, journal: Journal) -> dict[DriveId, DriveRoom]:
        rooms, now_s = self._around.rooms(journal.refused), time.monotonic()
        self._failed = {drive: one for drive, one in self._failed.items() if one[0] > now_s}
        return {
            drive: replace(room, closed=self._failed[drive.path][1]) if drive.path in self._failed else room
            for drive, room in rooms.items()
        }

    def _replace(self, order: ReplotOrder, choice: Choice, file: StoredFile) -> bool:
        journal = self._journal.now
        there = self._around.there(journal.credits)
        uses = ledger.uses((one for one in journal.credits if one.plot_id in there), choice.size_bytes)
        if uses is None:
            missing = counted(len(journal.credits) - len(there), "new plot")
            self.why = f"waits for more new proved plots: {missing} are not on their drives any more"
            if len(journal.credits) >= ledger.CREDITS_MOST:  # no other plot would count any more
                self._journal.change(partial(ledger.dropped, plot_ids=self._around.gone(journal.credits)))
            return False
        old = order.classes[choice.number].old
        victim = Victim(
            drive=choice.drive.path,
            name=choice.name,
            class_name=old.name,
            plot_id=file.entry.plot_id.hex() if file.entry.plot_id else None,
            size_bytes=file.stamp.size_bytes,
            inode=file.stamp.inode,
            mtime_ns=file.stamp.mtime_ns,
            uses=uses,
        )
        self.why = f"deletes {victim.path}"
        self._journal.change(partial(ledger.chosen, victim=victim))
        try:
            self._remove(order, old, victim, there)
        except Stays as error:
            self._keep(victim)
            self._skipped[victim.drive, victim.name] = time.monotonic() + SKIP_S
            self._problem = f"{error}"
            self.why = f"{error}"
            self._tell("replot-refused", f"does not delete {victim.path}: {error}", victim)
            return False
        except NotNow as error:
            self._keep(victim)
            if isinstance(error, DriveNotNow):  # the surveys do not see it: it would be chosen each time
                self._failed[victim.drive] = (time.monotonic() + DRIVE_SKIP_S, error.closed)
            self.why = f"{error}"
            return False
        except (OSError, Hanging, OrderRefused) as error:
            self._failed[victim.drive] = (time.monotonic() + DRIVE_SKIP_S, f"failed: {error}")
            self.why = f"{victim.drive}: {error}"
            log.warning("%s is not deleted: %s", victim.path, error, extra={"action": "replot-failed"})
            return False
        self._tell_last()
        return True

    def _remove(self, order: ReplotOrder, old: OldClass, victim: Victim, there: set[str]) -> None:
        work = Removal(
            victim,
            old,
            self._around.drives.must_be_mounted,
            may_go=partial(self._must_be_allowed, order, victim, there),
            deleting=partial(self._write, partial(ledger.deleting, order=order, victim=victim)),
            settled=partial(self._settle, victim),
        )
        self._around.work.run(lane(victim.drive), work.run, FLUSH_S)

    def _must_be_allowed(self, order: ReplotOrder, victim: Victim, there: set[str]) -> None:
        """Raise NotNow unless all that let the plot be chosen still holds. In the drive's thread."""
        journal, settings, today = self._journal.now, self._settings(), now_utc().date()
        if self._journal.trouble is not None:
            raise NotNow(f"{self._journal.trouble}.")
        if journal.order != order or journal.victim != victim or journal.paused is not None:
            raise NotNow("The order was changed, paused or ended.")
        if settings.why_not is not None:
            raise NotNow(f"{settings.why_not}.")
        if victim.plot_id is None or ledger.has_arrived(journal, victim.plot_id):
            raise NotNow(f"{victim.path} has arrived since the order.")
        if self._around.is_moving(victim.plot_id):
            raise NotNow(f"{victim.path} is on its way, or is checked.")
        # Again: the drive's lock may have been waited for.
        if there_now(one for one in journal.credits if one.plot_id in victim.uses) != victim.uses.keys():
            raise NotNow("New plots that it goes for are not on their drives any more.")
        room = self._around.room_now(victim.drive, journal.refused)
        if room.closed is not None:
            raise DriveNotNow(victim.drive, room.closed)
        counted_now = replace(ledger.account(journal, today, there), unsettled=False)
        number = next(n for n, one in enumerate(order.classes) if one.name == victim.class_name)
        choice = Choice(DriveId(self._around.host, victim.drive), victim.name, victim.size_bytes, number)
        if (why := why_not(choice, room, counted_now, settings.limits(order))) is not None:
            raise NotNow(f"{why}.")

    def _stays(self, file: StoredFile) -> bool:
        """Whether a file is left alone: a new plot, or one that did not fit when it was opened lately."""
        until_s = self._skipped.get((file.drive, os.fsdecode(file.name)), 0.0)
        plot_id = file.entry.plot_id.hex() if file.entry.plot_id else ""
        return until_s > time.monotonic() or ledger.has_arrived(self._journal.now, plot_id)

    def _settle(self, victim: Victim) -> None:
        self._write_of(victim, partial(ledger.settled, today=now_utc().date()))

    def _keep(self, victim: Victim) -> None:
        self._write_of(victim, ledger.kept)

    def _write_of(self, victim: Victim, changed: Callable[[Journal], Journal]) -> None:
        """Change the journal if this plot is in work. The thread of a drive that hung may come late: then
        another one is."""

        def of_it(journal: Journal) -> Journal:
            in_work = journal.victim
            is_it = in_work is not None and in_work.model_copy(update={"step": victim.step}) == victim
            return changed(journal) if is_it else journal

        self._write(of_it)

    def _write(self, changed: Callable[[Journal], Journal]) -> None:
        self._journal.change(changed)

    def _tell_last(self) -> None:
        """Tell all who know the plot that was deleted last. That it is deleted is durable."""
        around, victim = self._around, self._journal.now.last
        if victim is None or victim == self._told:
            return
        self._told = victim
        self._history(victim)
        around.note_freed(victim.drive, victim.size_bytes)
        size = human_bytes(victim.size_bytes)
        text = f"deleted {victim.path}, {size} of class {victim.class_name}"
        if not (is_named := self._settings().names_drive(victim.drive)):
            text = f"counts {victim.path} as deleted: its drive is not in harvester.drives any more"
        self._tell("plot-replaced", text, victim)
        with suppress(OSError, SqliteError):
            around.inventory.forget(victim.drive, victim.name)
        if victim.plot_id is not None and around.plot_index.drive_of(victim.plot_id) == victim.drive:
            with suppress(OSError):
                around.plot_index.forget(victim.plot_id)
        if is_named:
            around.drives.refresh(victim.drive)
