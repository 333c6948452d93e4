"""A history file: SQLite, safe against a power cut at any moment; its tables and their migration.

SQLite's `user_version` counts the steps. Steps only add tables and columns, so the previous release can still
read and write the file: it names its columns.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from common.history.rows import ROW_OF_KIND, End, HistoryKind, Row, kind_of
from common.system import statefile

log = logging.getLogger(__name__)

_BUSY_S = 5.0  # another process reads or writes the file for milliseconds
# https://www.sqlite.org/rescode.html: the content of the file is damaged.
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


_COMMON = """
    key TEXT PRIMARY KEY NOT NULL,
    host TEXT NOT NULL,
    ended_at TEXT NOT NULL,
    "end" TEXT NOT NULL,
    started_at TEXT,
    plot_id TEXT,
    path TEXT,
    size_bytes INTEGER,
    reason TEXT,
"""

# Times are ISO 8601 in UTC with microseconds, so that text order is time order.
_FIRST = f"""
CREATE TABLE plots ({_COMMON}
    task_id TEXT, plotter TEXT, mode TEXT, version TEXT, k INTEGER, compression INTEGER, tmp TEXT, tmp2 TEXT,
    dst TEXT, threads INTEGER, buckets INTEGER, buffer_mib INTEGER, bitfield INTEGER, ordered_at TEXT,
    phase1_s REAL, phase2_s REAL, phase3_s REAL, phase4_s REAL, copy_s REAL, total_s REAL, log TEXT
);
CREATE INDEX plots_by_time ON plots (ended_at, key);
CREATE TABLE transfers ({_COMMON}
    harvester TEXT, drive TEXT, landed TEXT, reserve_s REAL, transfer_s REAL, admit_s REAL,
    sent_bytes INTEGER, rate_bytes_s REAL, attempts INTEGER, verified TEXT
);
CREATE INDEX transfers_by_time ON transfers (ended_at, key);
CREATE INDEX transfers_by_path ON transfers (path);
CREATE TABLE landings ({_COMMON}
    source_host TEXT, source TEXT, drive TEXT, admit_s REAL, transfer_s REAL, sent_bytes INTEGER,
    verified TEXT
);
CREATE INDEX landings_by_time ON landings (ended_at, key);
"""

STEPS: tuple[str, ...] = (_FIRST, "ALTER TABLE plots ADD COLUMN steps_s TEXT")


def migrate(connection: sqlite3.Connection, steps: Sequence[str] = STEPS) -> None:
    """Migrate the file to the newest version, each step in a transaction. Leave a file of a newer release
    unchanged. Raises sqlite3.Error."""
    while (version := _version(connection)) < len(steps):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _version(connection) == version:  # no other process took this step meanwhile
                for statement in filter(str.strip, steps[version].split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def is_broken(error: sqlite3.Error) -> bool:
    """Whether the file is damaged; if not, it is locked, read-only, or its disk is full."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _BROKEN


class HistoryFile:
    """An open history file. All methods raise sqlite3.Error and OSError.

    check: search the file for damage, a second for 100 MB. Readers leave that to the writer.
    """

    def __init__(self, path: Path, steps: Sequence[str] = STEPS, check: bool = True) -> None:
        self.path = path
        self._connection = _open(path, steps, check)

    def close(self) -> None:
        self._connection.close()

    def put(self, rows: Iterable[Row]) -> None:
        """Store the rows durably, all or none. A row whose key exists is merged."""
        with self._transaction():
            for row in rows:
                self._put(row)

    def page(
        self,
        kind: HistoryKind,
        limit: int,
        since: datetime | None = None,
        before: tuple[str, str] | None = None,
        ends: Iterable[End] | None = None,
    ) -> list[Row]:
        """Read rows, the newest first. Rows that this release cannot read are left out.

        Args:
            since: only rows that ended then or later.
            before: (ended_at, key) of the last row of the previous page.
            ends: only rows with these outcomes.
        """
        asked: list[tuple[str, list[Any]]] = []
        if since is not None:
            asked.append(("ended_at >= ?", [_text(since)]))
        if before is not None:
            asked.append(("(ended_at, key) < (?, ?)", list(before)))
        if ends is not None:
            named = [end.value for end in ends]
            asked.append((f'"end" IN ({", ".join("?" * len(named))})', named))
        where = " AND ".join(condition for condition, _ in asked) or "1"
        values = [value for _, given in asked for value in given]
        return self._select(kind, f"WHERE {where} ORDER BY ended_at DESC, key DESC LIMIT ?", [*values, limit])

    def of_path(self, kind: HistoryKind, path: str, limit: int = 100) -> list[Row]:
        """Rows about the file `path`, the newest first."""
        return self._select(kind, "WHERE path = ? ORDER BY ended_at DESC LIMIT ?", [path, limit])

    def oldest(self, kind: HistoryKind) -> datetime | None:
        """When the first row ended; None in an empty table."""
        text = self._connection.execute(f"SELECT min(ended_at) FROM {kind}").fetchone()[0]
        return datetime.fromisoformat(text) if text else None

    def forget_before(self, then: datetime) -> None:
        """Delete rows that ended before `then`."""
        with self._transaction():
            for kind in HistoryKind:
                self._connection.execute(f"DELETE FROM {kind} WHERE ended_at < ?", [_text(then)])

    def _put(self, row: Row) -> None:
        kind = kind_of(row)
        known = self._select(kind, "WHERE key = ?", [row.key])
        merged = known[0].merged(row) if known else row
        values = {name: _plain(value) for name, value in merged.model_dump().items()}
        names = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join("?" * len(values))
        changes = ", ".join(f'"{name}" = excluded."{name}"' for name in values)
        self._connection.execute(
            f"INSERT INTO {kind} ({names}) VALUES ({marks}) ON CONFLICT (key) DO UPDATE SET {changes}",
            list(values.values()),
        )

    def _select(self, kind: HistoryKind, rest: str, values: list[Any]) -> list[Row]:
        found = []
        for raw in self._connection.execute(f"SELECT * FROM {kind} {rest}", values):
            try:
                found.append(ROW_OF_KIND[kind].model_validate(dict(raw)))
            except ValidationError as error:
                log.debug("a row of %s is left out: %s", self.path, error)
        return found

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.rollback()
            raise


@contextlib.contextmanager
def reading(path: Path) -> Iterator[HistoryFile | None]:
    """Open the file for reading; None if it does not exist. Another process may write it meanwhile. Raises
    sqlite3.Error, OSError."""
    if not path.exists():
        yield None
        return
    # Opened read-write: SQLite must first roll back the journal of a killed writer.
    file = HistoryFile(path, check=False)
    try:
        yield file
    finally:
        file.close()


def open_or_begin_anew(path: Path) -> HistoryFile:
    """Open the file, or create it. A damaged file is renamed and a new one created. Raises sqlite3.Error if
    it is locked or its disk is full, OSError if its folder cannot be made."""
    try:
        return HistoryFile(path)
    except sqlite3.DatabaseError as error:
        if not is_broken(error):
            raise
        set_aside(path, str(error))
        return HistoryFile(path)


def set_aside(path: Path, why: str) -> None:
    """Rename a damaged file, so that a new one can be created. Raises OSError."""
    now = datetime.now(UTC)
    aside = path.with_name(f"{path.name}.broken-{now:%Y%m%dT%H%M%S}")
    path.rename(aside)
    # SQLite would apply its journal to the new file.
    journal = path.with_name(f"{path.name}-journal")
    with contextlib.suppress(FileNotFoundError):
        journal.rename(aside.with_name(f"{aside.name}-journal"))
    log.error(
        "the history in %s is damaged (%s). It was renamed to %s, and a new one was created; `sqlite3 %s "
        ".recover` may save its rows.",
        path,
        why,
        aside,
        aside,
        extra={"action": "history-set-aside"},
    )


def _open(path: Path, steps: Sequence[str], check: bool) -> sqlite3.Connection:
    statefile.private_folder(path.parent)
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        connection.row_factory = sqlite3.Row
        # A journal that is deleted with each commit instead of WAL: no shared memory, so the state directory
        # may be on any file system, and a copy of the one file is complete. EXTRA also syncs the folder, so
        # that the journal does not return after a power cut. Rows are rare enough for that.
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = EXTRA")
        if check:
            _check(connection)
        migrate(connection, steps)
        with contextlib.suppress(OSError):
            os.chmod(path, 0o640)  # noqa: PTH101
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection) -> None:
    damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if damage != "ok":
        error = sqlite3.DatabaseError(damage)
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def _plain(value: Any) -> Any:
    """The value in a type that SQLite stores."""
    if isinstance(value, datetime):
        return _text(value)
    if isinstance(value, dict):
        return json.dumps(value)
    return value.value if isinstance(value, End) else value
