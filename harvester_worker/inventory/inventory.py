"""The inventory of a harvester's drives: one thread for each drive that is read, and sums of all."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from common.model.inventory import DriveRow, SumRow
from common.model.plot_class import InventorySums
from common.model.snapshot import DirState, Drive, DriveUse
from harvester_worker.drives.part_files import now_utc
from harvester_worker.drives.registry import DriveRegistry
from harvester_worker.drives.survey import DriveSurvey
from harvester_worker.inventory import store as storing
from harvester_worker.inventory.entry import month_text
from harvester_worker.inventory.reading import DriveReader
from harvester_worker.inventory.store import InventoryStore
from harvester_worker.inventory.tally import DriveTally, summed

log = logging.getLogger(__name__)

_TICK_S = 5.0
# A file that was changed in place does not change its folder.
_AGAIN_S = 900.0
# The coarsest ctime has whole seconds: a folder that changed just now may change again with the same ctime.
_SETTLED_S = 3.0
_RETRY_S = 60.0
# To count the duplicates among two million plots takes half a second: a fiftieth of the time at most.
_COUNT_SHARE = 50
_READABLE = (DirState.OK, DirState.READ_ONLY)


@dataclass(frozen=True, slots=True)
class _Progress:
    """Of one drive. None: not known.

    folder: st_dev, st_ino and st_ctime_ns at the last listing; None: it must be listed again.
    next_s: monotonic time of the next listing in any case.
    """

    listed: int | None = None
    read: int = 0
    left_out: int = 0
    folder: tuple[int, int, int] | None = None
    next_s: float = 0.0


class Inventory:
    """Keeps the inventory up to date. No method but `start` of the threads waits for a drive."""

    def __init__(self, drives: DriveRegistry, file: Path, changed: Callable[[], None]) -> None:
        """
        Args:
            drives: as surveyed.
            file: of the store; what a restart must not forget.
            changed: called when the sums have changed; must not wait.
        """
        self._drives = drives
        self._file = file
        self._changed = changed
        self._store: InventoryStore | None = None
        self._lock = threading.Lock()
        self._progress: dict[str, _Progress] = {}
        self._running: set[str] = set()
        self._alone: dict[str, threading.Lock] = {}  # by device
        self._duplicates = 0
        self._count_at_s = 0.0  # monotonic; not earlier
        self._counted: object = None  # state of the store, and drives, of which the duplicates were counted
        self._published: InventorySums | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inventory", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End soon. A thread that hangs with its drive stays; it does not hold up the end of the process."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2)

    def sums(self) -> InventorySums | None:
        """For the snapshot; None: the store is not open yet. Waits for no disk."""
        return self._published

    def counting(self) -> list[str]:
        """The drives that count: each that can be read now, and no folder twice."""
        return [drive.path for drive, counts in self._with_use() if counts]

    def unread(self) -> list[str]:
        """The drives of which some files are not known: of a disabled one nothing is."""
        with self._lock:
            progress = dict(self._progress)
        found = []
        for drive, counts in self._with_use():
            seen = progress.get(drive.path, _Progress())
            is_read = seen.listed is not None and seen.read >= seen.listed and not seen.left_out
            if drive.use is not DriveUse.DISABLED and not (is_read if counts else drive.state in _READABLE):
                found.append(drive.path)
        return found

    def forget(self, drive: str, name: str) -> None:
        """A file was deleted: do not wait for the next listing. Raises sqlite3.Error."""
        if self._store is not None:
            self._store.remove(drive, [os.fsencode(name)])

    def rows(self, only: str | None = None) -> tuple[list[DriveRow], list[SumRow]]:
        """How far each drive is, and the sums of those that count. only: this drive."""
        tallies = self._tallies()
        drives, sums = [], []
        for drive, counts in self._with_use():
            if only is not None and drive.path != only:
                continue
            tally = tallies.get(drive.path, DriveTally())
            drives.append(self._drive_row(drive, counts, tally))
            for (plot_class, month), one in tally.plots.items() if counts else ():
                sums.append(
                    SumRow(
                        **dict(plot_class),
                        drive=drive.path,
                        month=month_text(month),
                        plots=one.plots,
                        files=one.files,
                        bytes=one.bytes,
                    )
                )
        return drives, sums

    def duplicates(self) -> int:
        """Plots that were in several files at the end of the last pass."""
        return self._duplicates

    @property
    def store(self) -> InventoryStore | None:
        """None: it cannot be opened now, or is not open yet."""
        return self._store

    def _tallies(self) -> dict[str, DriveTally]:
        return self._store.tallies() if self._store else {}

    def _drive_row(self, drive: Drive, counts: bool, tally: DriveTally) -> DriveRow:
        with self._lock:
            progress = self._progress.get(drive.path, _Progress())
        total = tally.total
        read = tally.files if progress.listed is None else progress.read
        return DriveRow(
            drive=drive.path,
            state=drive.word,
            counts=counts,
            plots=total.plots,
            files=total.files,
            bytes=total.bytes,
            faults=tally.faults.files,
            fault_bytes=tally.faults.bytes,
            listed=read if progress.listed is None else progress.listed,
            read=read,
            left_out=progress.left_out,
        )

    def _with_use(self) -> list[tuple[Drive, bool]]:
        """All drives, and whether each counts."""
        seen: set[tuple[int, int]] = set()
        found = []
        for drive in self._drives.published():
            counts = drive.state in _READABLE and drive.use is not DriveUse.DISABLED
            folder = _folder(self._drives.seen(drive.path))
            if counts and folder is not None:
                counts = folder[:2] not in seen
                seen.add(folder[:2])
            found.append((drive, counts))
        return found

    def _run(self) -> None:
        while not self._stop.is_set():
            wait_s = _TICK_S
            try:
                if self._store is None:
                    self._store = storing.open_or_rebuild(self._file, InventoryStore)
                self._round(self._store)
            except sqlite3.Error as error:
                self._failed(error)
                wait_s = _TICK_S if self._store is None and storing.is_damage(error) else _RETRY_S
            except Exception:
                log.exception(
                    "the inventory failed, and is tried again", extra={"action": "inventory-failed"}
                )
                wait_s = _RETRY_S
            self._stop.wait(wait_s)
        if self._store:
            self._store.close()

    def _round(self, store: InventoryStore) -> None:
        """Begin passes where they are due, and sum up."""
        now_s = time.monotonic()
        with_use = self._with_use()
        store.keep_only(self._drives.paths())
        for drive, counts in with_use:
            if counts:
                self._begin_if_due(drive.path, store, now_s)
        counting = [drive.path for drive, counts in with_use if counts]
        counted = (store, store.changes, counting)
        if self._counted != counted and now_s >= self._count_at_s:
            self._duplicates = store.duplicates(counting)
            self._counted = counted
            self._count_at_s = now_s + _COUNT_SHARE * (time.monotonic() - now_s)
        sums = self._summed(counting, store)
        if sums != self._published:
            self._published = sums
            self._changed()

    def _summed(self, counting: Sequence[str], store: InventoryStore) -> InventorySums:
        tallies = store.tallies()
        counted = [tallies[path] for path in counting if path in tallies]
        with self._lock:
            progress = [self._progress.get(path, _Progress()) for path in counting]
        read = sum(one.read for one in progress)
        return summed(counted, self._duplicates, sum(one.listed or 0 for one in progress), read)

    def _begin_if_due(self, path: str, store: InventoryStore, now_s: float) -> None:
        seen = self._drives.seen(path)
        folder = _folder(seen)
        with self._lock:
            progress = self._progress.get(path, _Progress())
            due = progress.next_s <= now_s or progress.folder not in (None, folder)
            if folder is None or path in self._running or not due:
                return
            self._running.add(path)
            alone = self._alone.setdefault(_device_of(path, seen), threading.Lock())
        work = partial(self._pass, path, folder, store, alone)
        threading.Thread(target=work, name=f"inventory {path}", daemon=True).start()

    def _pass(
        self, path: str, folder: tuple[int, int, int], store: InventoryStore, alone: threading.Lock
    ) -> None:
        """Read one drive. In a thread of its own, which may hang with the drive."""
        reader = DriveReader(
            path, store, alone, self._stop, partial(self._is_written, path), partial(self._note, path)
        )
        settled = now_utc().timestamp() - folder[2] / 1e9 > _SETTLED_S
        next_s, left_out = _RETRY_S, 0
        try:
            listing = reader.run(folder[:2])
            if listing is not None:
                next_s, left_out = _AGAIN_S if settled else _TICK_S, listing.left_out
        except OSError as error:
            log.warning("%s: no inventory now: %s", path, error, extra={"action": "inventory-unread"})
        except sqlite3.Error as error:
            self._failed(error)
        except Exception:
            log.exception("the inventory of %s failed", path, extra={"action": "inventory-failed"})
        finally:
            with self._lock:
                self._running.discard(path)
                self._progress[path] = replace(
                    self._progress.get(path, _Progress()),
                    folder=folder,
                    left_out=left_out,
                    next_s=time.monotonic() + next_s,
                )

    def _note(self, path: str, listed: int, read: int) -> None:
        with self._lock:
            before = self._progress.get(path, _Progress())
            self._progress[path] = replace(before, listed=listed, read=read)

    def _is_written(self, path: str) -> bool:
        return self._drives.seen(path).writers(now_utc()) > 0

    def _failed(self, error: sqlite3.Error) -> None:
        log.warning("%s: %s", self._file, error, extra={"action": "inventory-store"})
        if storing.is_damage(error):
            with self._lock:
                self._progress.clear()
            store, self._store = self._store, None
            if store is not None:
                store.close()
            storing.delete(self._file)


def _folder(seen: DriveSurvey) -> tuple[int, int, int] | None:
    status = seen.report.status
    return None if status is None else (status.st_dev, status.st_ino, status.st_ctime_ns)


def _device_of(path: str, seen: DriveSurvey) -> str:
    return seen.report.device or path
