"""Tables of a history file, and their migration.

SQLite's `user_version` counts the steps. Steps only add tables and columns, so the previous release can still
read and write the file: it names its columns.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

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

STEPS: tuple[str, ...] = (_FIRST,)


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
