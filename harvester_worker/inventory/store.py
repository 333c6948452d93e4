"""The inventory's file: what each file on the drives was when it was read last.

SQLite of the standard library: a page of files, the copies of a plot and the change of a file need one
look-up in an index each; after a power cut a write is complete or did not happen; damage is detected. The
file is only a cache: if it is damaged or of another release, it is deleted, and the drives are read again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from common.model.plot_class import PlotClass
from common.system import statefile
from harvester_worker.inventory.entry import Entry, Stamp
from harvester_worker.inventory.tally import DriveTally

log = logging.getLogger(__name__)

T = TypeVar("T")

# Changes with the tables, and with what `examine` makes of a file: then all files are read again.
_RELEASE = 1
_BUSY_S = 5.0
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
_TABLES = """
CREATE TABLE drives (id INTEGER PRIMARY KEY, path BLOB UNIQUE NOT NULL);
CREATE TABLE classes (id INTEGER PRIMARY KEY, text TEXT UNIQUE NOT NULL);
CREATE TABLE files (
    drive INTEGER NOT NULL, name BLOB NOT NULL, size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL, class INTEGER, made INTEGER NOT NULL, plots INTEGER NOT NULL, plot_id BLOB,
    meta_group INTEGER NOT NULL, key INTEGER, reason TEXT
);
CREATE UNIQUE INDEX files_by_name ON files (drive, name);
CREATE INDEX files_by_key ON files (key, drive) WHERE key IS NOT NULL;
CREATE INDEX faults ON files (drive, name) WHERE plots = 0;
"""
_COLUMNS = "drive, name, size_bytes, mtime_ns, inode, class, made, plots, plot_id, meta_group, key, reason"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that was read. name: without the drive. number: of the drive in the store."""

    number: int
    drive: str
    name: bytes
    stamp: Stamp
    entry: Entry


class InventoryStore:
    """Threads share it. All methods raise sqlite3.Error and OSError; damage shows as `is_damage`."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._counting = threading.Lock()  # of the sums, which are read without waiting for a disk
        self.changes = 0  # transactions
        self._connection = _opened(path)
        rows = self._connection.execute("SELECT id, path FROM drives")
        self._drives: dict[str, int] = {os.fsdecode(path): number for number, path in rows}
        self._classes: dict[PlotClass, int] = {}
        for number, text in self._connection.execute("SELECT id, text FROM classes"):
            self._classes[_class_of(text)] = number
        self._class_by_id = {number: one for one, number in self._classes.items()}
        self._tallies = self._counted()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def known(self, drive: str) -> dict[bytes, Stamp]:
        """The files of a drive by name, as they were when they were read."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT name, size_bytes, mtime_ns, inode FROM files WHERE drive = ?",
                [self._drives.get(drive)],
            )
            return {name: Stamp(*stamp) for name, *stamp in rows}

    def put(self, drive: str, files: Iterable[tuple[bytes, Stamp, Entry]]) -> None:
        """Store files of a drive durably, all or none; each replaces what was known of its name."""
        with self._lock, self._transaction() as changes:
            number = self._number_of(drive)
            for name, stamp, entry in files:
                self._take_out(drive, number, name, changes)
                class_id = None if entry.plot_class is None else self._class_id(entry.plot_class)
                self._connection.execute(
                    f"INSERT INTO files ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (number, name, stamp.size_bytes, stamp.mtime_ns, stamp.inode, class_id, entry.made,
                     entry.plots, entry.plot_id, entry.meta_group, entry.key, entry.reason),
                )  # fmt: skip
                changes.append((drive, entry.plot_class, entry.made, entry.plots, stamp.size_bytes, 1))

    def remove(self, drive: str, names: Iterable[bytes]) -> None:
        """Forget files of a drive, all or none."""
        with self._lock, self._transaction() as changes:
            number = self._number_of(drive)
            for name in names:
                self._take_out(drive, number, name, changes)

    def keep_only(self, drives: Iterable[str]) -> None:
        """Forget all drives but these."""
        with self._lock:
            gone = self._drives.keys() - set(drives)
            if not gone:
                return
            with self._transaction():
                for drive in gone:
                    self._connection.execute("DELETE FROM files WHERE drive = ?", [self._drives[drive]])
                    self._connection.execute("DELETE FROM drives WHERE id = ?", [self._drives[drive]])
            with self._counting:
                for drive in gone:
                    del self._drives[drive]
                    self._tallies.pop(drive, None)

    def tallies(self) -> dict[str, DriveTally]:
        """The sums of each drive that was read, as a copy. Does not wait for the disk."""
        with self._counting:
            return {drive: tally.copy() for drive, tally in self._tallies.items()}

    def duplicates(self, drives: Sequence[str]) -> int:
        """How many plots are in more than one file on these drives."""
        with self._lock:
            among = self._among(drives)
            found = self._connection.execute(
                "SELECT count(*) FROM (SELECT 1 FROM files WHERE key IS NOT NULL"
                f" AND +drive IN ({among}) GROUP BY key HAVING count(*) > 1)"
            )
            return int(found.fetchone()[0])

    def page(
        self, drives: Sequence[str], faults: bool, after: tuple[int, bytes] | None, limit: int
    ) -> list[StoredFile]:
        """Files of these drives, ordered as the drives were first seen, and by name.

        Args:
            faults: files that are no whole plots; else those with plots.
            after: number of the drive, and name, of the last file of the previous page.
            limit: most files.
        """
        kind = "plots = 0" if faults else "plots > 0"
        with self._lock:
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM files WHERE (drive, name) > (?, ?) AND +drive IN"
                f" ({self._among(drives)}) AND {kind} ORDER BY drive, name LIMIT ?",
                [*(after or (-1, b"")), limit],
            )
            return self._files(rows)

    def classed(
        self, drive: str, classes: Iterable[PlotClass], made_before: int | None, limit: int
    ) -> list[StoredFile]:
        """The first files of these classes on a drive, by name.

        Args:
            drive: its folder.
            classes: any of them.
            made_before: year and month, as 202611: only plots that were made earlier, and whose month is
                known; None: all.
            limit: most files.
        """
        with self._lock:
            numbers = ", ".join(str(self._classes[one]) for one in classes if one in self._classes)
            month = "" if made_before is None else f" AND made > 0 AND made < {int(made_before)}"
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM files WHERE drive = ? AND class IN ({numbers}){month}"
                " ORDER BY name LIMIT ?",
                [self._drives.get(drive), limit],
            )
            return self._files(rows)

    def keys(self, drives: Sequence[str], begin: int, end: int, limit: int) -> list[int]:
        """Keys of the plots on these drives, in order, one for each file.

        Args:
            begin: the first that may be in it.
            end: the first beyond it.
            limit: most keys.
        """
        with self._lock:
            rows = self._connection.execute(
                "SELECT key FROM files WHERE key >= ? AND key < ? AND +drive IN"
                f" ({self._among(drives)}) ORDER BY key LIMIT ?",
                [begin, end, limit],
            )
            return [key for (key,) in rows]

    def copies(self, drives: Sequence[str], keys: Sequence[int], limit: int) -> list[StoredFile]:
        """The files on these drives whose plots have these keys; `limit` at most."""
        wanted = ", ".join(str(int(key)) for key in keys)
        with self._lock:
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM files WHERE key IN ({wanted}) AND +drive IN"
                f" ({self._among(drives)}) ORDER BY key, drive, name LIMIT ?",
                [limit],
            )
            return self._files(rows)

    def _among(self, drives: Sequence[str]) -> str:
        """The numbers of these drives, as SQL. Call with the lock held."""
        return ", ".join(str(self._drives[drive]) for drive in drives if drive in self._drives)

    def _take_out(self, drive: str, number: int, name: bytes, changes: list[_Change]) -> None:
        found = self._connection.execute(
            "DELETE FROM files WHERE drive = ? AND name = ? RETURNING class, made, plots, size_bytes",
            [number, name],
        ).fetchall()
        for class_id, made, plots, size_bytes in found:
            plot_class = None if class_id is None else self._class_by_id[class_id]
            changes.append((drive, plot_class, made, -plots, -size_bytes, -1))

    def _number_of(self, drive: str) -> int:
        if drive not in self._drives:
            done = self._connection.execute("INSERT INTO drives (path) VALUES (?)", [os.fsencode(drive)])
            self._drives[drive] = int(done.lastrowid or 0)
        return self._drives[drive]

    def _class_id(self, plot_class: PlotClass) -> int:
        if plot_class not in self._classes:
            text = plot_class.model_dump_json(exclude_none=True)
            done = self._connection.execute("INSERT INTO classes (text) VALUES (?)", [text])
            number = int(done.lastrowid or 0)
            self._classes[plot_class], self._class_by_id[number] = number, plot_class
        return self._classes[plot_class]

    def _files(self, rows: Iterable[Sequence[Any]]) -> list[StoredFile]:
        paths = {number: path for path, number in self._drives.items()}
        found = []
        for drive, name, size_bytes, mtime_ns, inode, class_id, made, plots, plot_id, meta, _, reason in rows:
            plot_class = None if class_id is None else self._class_by_id[class_id]
            entry = Entry(plot_class, plots, plot_id, meta, made, reason)
            found.append(StoredFile(drive, paths[drive], name, Stamp(size_bytes, mtime_ns, inode), entry))
        return found

    def _counted(self) -> dict[str, DriveTally]:
        tallies = {drive: DriveTally() for drive in self._drives}
        paths = {number: path for path, number in self._drives.items()}
        rows = self._connection.execute(
            "SELECT drive, class, made, sum(plots), sum(size_bytes), count(*) FROM files"
            " GROUP BY drive, class, made"
        )
        for drive, class_id, made, plots, size_bytes, files in rows:
            plot_class = None if class_id is None else self._class_by_id[class_id]
            tallies[paths[drive]].add(plot_class, made, plots, size_bytes, files)
        return tallies

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[list[_Change]]:
        """Yield a list for changes of the sums, which are applied once the transaction is durable."""
        drives, classes = dict(self._drives), dict(self._classes)
        changes: list[_Change] = []
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield changes
            self._connection.execute("COMMIT")
        except BaseException:
            self._drives, self._classes = drives, classes
            self._class_by_id = {number: one for one, number in classes.items()}
            with contextlib.suppress(sqlite3.Error):
                self._connection.rollback()
            raise
        with self._counting:
            self.changes += 1
            for drive, plot_class, made, plots, size_bytes, files in changes:
                tally = self._tallies.setdefault(drive, DriveTally())
                tally.add(plot_class, made, plots, size_bytes, files)


# Drive, class, month, plots, bytes, files.
_Change = tuple[str, PlotClass | None, int, int, int, int]


def open_or_rebuild(path: Path, opened: Callable[[Path], T]) -> T:
    """Open the file; one that is damaged, or of another release, is deleted first.

    Args:
        path: of the file.
        opened: InventoryStore, or what a test opens.

    Raises:
        sqlite3.Error: it is locked, or its disk is full.
        OSError: its folder cannot be made, or the file not deleted.
    """
    try:
        return opened(path)
    except (sqlite3.DatabaseError, ValidationError, KeyError) as error:
        if isinstance(error, sqlite3.OperationalError) and not is_damage(error):
            raise
        log.warning("%s is deleted, and the drives are read again: %s", path, error)
        delete(path)
        return opened(path)


def delete(path: Path) -> None:
    """Delete the file. SQLite deletes its journal when it opens an empty one in its place. Raises OSError."""
    path.unlink(missing_ok=True)


def is_damage(error: BaseException) -> bool:
    """Whether the content of the file is damaged; if not, it is locked, read-only, or its disk is full.

    SQLITE_ERROR: the content is of another kind than this code stores, as sums beyond 64 bits.
    """
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGE


def _class_of(text: str) -> PlotClass:
    return PlotClass.model_validate_json(text)


def _opened(path: Path) -> sqlite3.Connection:
    statefile.private_folder(path.parent)
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        # No WAL, so that the state folder may be on any file system.
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cache_size = -16384")
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version not in (0, _RELEASE):
            raise sqlite3.DatabaseError(f"it is of another release ({version})")
        if not version:
            connection.executescript(f"BEGIN;{_TABLES}PRAGMA user_version = {_RELEASE};COMMIT;")
        with contextlib.suppress(OSError):
            os.chmod(path, 0o640)  # noqa: PTH101
    except BaseException:
        connection.close()
        raise
    return connection
