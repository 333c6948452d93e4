"""Lists one drive and reads the files that are new or changed, a little at a time."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from harvester_worker.inventory.entry import Entry, Stamp, examine, is_candidate
from harvester_worker.inventory.store import InventoryStore

# Files of one drive that are kept. chia's own harvester needs minutes for as many.
FILES_MAX = 250_000
_BURST_S = 0.25  # longest time at a drive without a pause
# A transaction, which costs the disk of the state folder two syncs.
_BATCH_MAX = 500  # files
_BATCH_S = 5.0
_FAILING = 20  # files one after the other that cannot be read: the drive fails, and not the files
# While plots are written to a drive: three files a second, whose reads cost the writing a hundredth.
_PAUSE_BUSY_S = 0.33
# Of a file that could not be read, so that it is read again each time.
NO_INODE = -1

_Read = tuple[bytes, Stamp, Entry]


@dataclass(frozen=True, slots=True)
class Listing:
    """Files of a drive. left_out: number of those beyond FILES_MAX."""

    files: dict[bytes, os.stat_result] = field(default_factory=dict)
    left_out: int = 0


def listed(drive: str, most: int = FILES_MAX) -> Listing:
    """List the files of a drive that look like plots, in the order in which they lie there, nearly. Raises
    OSError.

    Args:
        drive: its folder.
        most: number of files.
    """
    with os.scandir(os.fsencode(drive)) as entries:
        found = [entry for entry in entries if is_candidate(entry.name)]
    # File systems keep inodes in order: the heads of a hard drive move less.
    found.sort(key=lambda entry: entry.inode())
    files = {}
    for entry in found[:most]:
        with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile
            if not entry.is_dir(follow_symlinks=False):
                files[entry.name] = entry.stat(follow_symlinks=False)
    return Listing(files, max(0, len(found) - most))


def pause_s(took_s: float, is_written: bool) -> float:
    """How long to leave the drive alone after reading, in seconds.

    Args:
        took_s: how long the reading took; half of the drive's time is for others.
        is_written: whether plots are on their way to the drive.
    """
    return _PAUSE_BUSY_S if is_written else min(took_s, _BURST_S)


class DriveReader:
    """One pass over one drive, in the caller's thread, which may hang with the drive."""

    def __init__(
        self,
        drive: str,
        store: InventoryStore,
        alone: threading.Lock,
        stop: threading.Event,
        is_written: Callable[[], bool],
        progress: Callable[[int, int], None],
    ) -> None:
        """
        Args:
            drive: its folder.
            alone: held while the drive is used, so that folders of one device are never read in parallel.
            stop: ends the pass early.
            is_written: whether plots are on their way to the drive now.
            progress: called often, with the number of files that were found, and of those that are read.
        """
        self._drive = drive
        self._store = store
        self._alone = alone
        self._stop = stop
        self._is_written = is_written
        self._progress = progress
        self._failed = 0  # files one after the other

    def run(self, folder: tuple[int, int]) -> Listing | None:
        """Bring the store up to date. Returns what was listed; None if it was stopped early.

        Args:
            folder: st_dev and st_ino of the drive's folder, by its survey. An unmounted drive's mount point
                is another folder, and empty.

        Raises:
            OSError: the drive cannot be read.
            sqlite3.Error: the store cannot be written.
        """
        with self._alone:
            if self._stop.is_set():
                return None
            listing = listed(self._drive)
            self._must_be(folder)  # afterwards, so that it was mounted all the time
        found = {name: Stamp.of(status) for name, status in listing.files.items()}
        known = self._store.known(self._drive)
        if gone := known.keys() - found.keys():
            self._store.remove(self._drive, gone)
        changed = [name for name, stamp in found.items() if known.get(name) != stamp]
        self._progress(len(found), len(found) - len(changed))
        for batch in self._batches(changed, listing):
            self._store.put(self._drive, batch)
        return None if self._stop.is_set() else listing

    def _must_be(self, folder: tuple[int, int]) -> None:
        now = os.stat(self._drive)  # noqa: PTH116 - beside scandir
        if (now.st_dev, now.st_ino) != folder:
            raise OSError(errno.ESTALE, "another file system is mounted there now", self._drive)

    def _batches(self, names: list[bytes], listing: Listing) -> Iterator[list[_Read]]:
        """Read these files. Yields what is to be stored together, and pauses in between."""
        left = deque(names)
        batch: list[_Read] = []
        batch_began_s = time.monotonic()
        while left and not self._stop.is_set():
            is_written = self._is_written()
            began_s = time.monotonic()
            with self._alone:
                self._burst(left, batch, listing, 1 if is_written else _BATCH_MAX)
            now_s = time.monotonic()
            self._progress(len(listing.files), len(listing.files) - len(left))
            if len(batch) >= _BATCH_MAX or now_s - batch_began_s > _BATCH_S:
                yield batch
                batch, batch_began_s = [], now_s
            if left:
                self._stop.wait(pause_s(now_s - began_s, is_written))
        if batch:
            yield batch

    def _burst(self, left: deque[bytes], batch: list[_Read], listing: Listing, most: int) -> None:
        """Read some of the files that are left into the batch. Raises OSError where the drive fails."""
        end_s = time.monotonic() + _BURST_S
        for _ in range(most):
            if not left or time.monotonic() > end_s:
                return
            name = left.popleft()
            stamp = Stamp.of(listing.files[name])
            try:
                entry = examine(os.fsencode(self._drive) + b"/" + name, listing.files[name])
                self._failed = 0
            except FileNotFoundError:
                continue  # it was removed meanwhile
            except OSError as error:
                self._failed += 1
                if self._failed >= _FAILING:
                    raise
                entry = Entry(reason=f"cannot be read: {error.strerror or error}")
                stamp = replace(stamp, inode=NO_INODE)
            batch.append((name, stamp, entry))
