"""The writer of a process' history, with the successes of the last days in memory. Errors of its file never
block or fail a caller, so no plot depends on it."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from common.history.rows import End, HistoryKind, PlotEnd, Row
from common.history.store import HistoryFile, is_broken, open_or_begin_anew, set_aside
from common.model.snapshot import Tally
from common.names import Role

log = logging.getLogger(__name__)

Rows = Callable[[], Iterable[Row]]

_KEPT = 10_000  # rows that wait while the file cannot be written; the oldest are dropped first
_RETRY_S = 30.0
_STOP_S = 3.0
_PRUNE_S = 86_400.0
# A number or text that SQLite cannot store, from a log or a message. It must not block other rows.
_UNFIT = (OverflowError, ValueError, sqlite3.IntegrityError, sqlite3.ProgrammingError)
_LOADED = 100_000  # rows of a week; more than any one host makes

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
_HOUR_S = 3600.0
_COUNTS = frozenset({End.DONE, End.SENT, End.LANDED})
_STANDS = timedelta(seconds=30)


def counted_as(row: Row) -> str | None:
    """The key that a row is counted under, so that no plot counts twice; None: it does not count."""
    if row.end not in _COUNTS:
        return None
    return row.key if isinstance(row, PlotEnd) else row.plot_id or row.path


class RecentCounts:
    """Thread-safe counts. `at` is cheap, because snapshots call it many times a second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: dict[str, tuple[datetime, int]] = {}
        self._since: datetime | None = None
        self._last: tuple[datetime, Tally] | None = None

    def add(self, row: Row) -> None:
        name = counted_as(row)
        if name is None:
            return
        with self._lock:
            self._ends[name] = (row.ended_at, row.size_bytes or 0)
            self._since = min(self._since or row.ended_at, row.ended_at)
            self._last = None

    def known_since(self, since: datetime) -> None:
        """Note that the history reaches back to `since`."""
        with self._lock:
            self._since = min(self._since or since, since)
            self._last = None

    def at(self, now: datetime | None = None) -> Tally:
        """The counts of the days before `now`."""
        now = now or datetime.now(UTC)
        with self._lock:
            if self._last is None or not timedelta(0) <= now - self._last[0] < _STANDS:
                self._last = (now, self._count(now))
            return self._last[1]

    def _count(self, now: datetime) -> Tally:
        self._ends = {name: end for name, end in self._ends.items() if now - end[0] < WEEK}
        hours_count, hours_bytes = [0] * 24, [0] * 24
        day_count = day_bytes = week_bytes = 0
        for ended_at, size_bytes in self._ends.values():
            week_bytes += size_bytes
            age_s = max(0.0, (now - ended_at).total_seconds())
            if age_s < DAY.total_seconds():
                hour = 23 - int(age_s // _HOUR_S)
                hours_count[hour] += 1
                hours_bytes[hour] += size_bytes
                day_count += 1
                day_bytes += size_bytes
        return Tally(
            hours_count=tuple(hours_count),
            hours_bytes=tuple(hours_bytes),
            day_count=day_count,
            day_bytes=day_bytes,
            week_count=len(self._ends),
            week_bytes=week_bytes,
            since=self._since,
        )


def history_path(state_dir: Path, role: Role) -> Path:
    """File with the history of a role."""
    return state_dir / "history" / f"{role}.sqlite3"


class Recorder:
    """Writes rows in a thread of its own, and counts the recent ones."""

    def __init__(
        self,
        path: Path,
        kind: HistoryKind,
        changed: Callable[[], None],
        keep: timedelta | None = None,
        retry_s: float = _RETRY_S,
    ) -> None:
        """Make a recorder; `start` begins to write.

        Args:
            kind: rows that `tally` counts.
            changed: called when the tally has changed.
            keep: how long rows are kept; None: for ever.
            retry_s: pause after an error, in seconds.
        """
        self.path = path
        self._kind = kind
        self._changed = changed
        self._keep = keep
        self._retry_s = retry_s
        self._tallying = RecentCounts()
        self._makers: deque[Rows] = deque(maxlen=_KEPT)
        self._waiting: deque[Row] = deque(maxlen=_KEPT)
        self._wake = threading.Event()
        self._stopping = False
        self._in_trouble = False
        self._next_prune_s = 0.0
        self._file: HistoryFile | None = None
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write the waiting rows, and stop; gives up after a few seconds."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=_STOP_S)

    def put(self, *rows: Row) -> None:
        """Record these rows."""
        self.later(lambda: rows)

    def later(self, rows: Rows) -> None:
        """Record the rows that `rows` returns; called in the writer's thread, where it may read files."""
        self._makers.append(rows)
        self._wake.set()

    def tally(self) -> Tally:
        """Counts of the last days."""
        return self._tallying.at()

    def _run(self) -> None:
        self._guarded(self._load)
        while True:
            self._wake.wait(self._retry_s)
            self._wake.clear()
            self._take()
            if self._waiting:
                self._guarded(self._write)
            if self._keep is not None and time.monotonic() >= self._next_prune_s:
                self._guarded(self._prune)
            if self._stopping and not self._makers:
                break
        if self._file is not None:
            self._file.close()

    def _take(self) -> None:
        """Make the waiting rows."""
        while self._makers:
            make = self._makers.popleft()
            try:
                rows = tuple(make())
            except Exception:
                # A bug in one row must not end the thread that keeps all others.
                log.exception("a row is missing in the history", extra={"action": "history-failed"})
                continue
            self._waiting.extend(rows)
            for row in rows:
                self._tallying.add(row)
                self._recorded(row)
            self._changed()

    def _recorded(self, row: Row) -> None:
        """Use a new row otherwise; called in the writer's thread."""

    def _write(self, file: HistoryFile) -> None:
        try:
            file.put(self._waiting)
        except _UNFIT:
            for row in self._waiting:
                try:
                    file.put([row])
                except _UNFIT as error:
                    log.error("the history cannot store %s: %s", row, error)
        self._waiting.clear()

    def _load(self, file: HistoryFile) -> None:
        for row in file.page(self._kind, _LOADED, since=datetime.now(UTC) - WEEK):
            self._tallying.add(row)
        if (oldest := file.oldest(self._kind)) is not None:
            self._tallying.known_since(oldest)
        self._changed()

    def _prune(self, file: HistoryFile) -> None:
        assert self._keep is not None
        file.forget_before(datetime.now(UTC) - self._keep)
        self._next_prune_s = time.monotonic() + _PRUNE_S

    def _guarded(self, work: Callable[[HistoryFile], None]) -> None:
        """Call `work` with the file. An error is logged once; a later call tries again."""
        try:
            if self._file is None:
                self._file = open_or_begin_anew(self.path)
            work(self._file)
        except (sqlite3.Error, OSError) as error:
            self._close()
            if isinstance(error, sqlite3.Error) and is_broken(error):
                self._begin_anew(str(error))
            elif not self._in_trouble:
                self._in_trouble = True
                log.error(
                    "the history in %s cannot be written now: %s. New rows wait in memory; plots are made "
                    "and moved as usual.",
                    self.path,
                    error,
                    extra={"action": "history-failed"},
                )
        else:
            if self._in_trouble:
                log.info("the history in %s is written again", self.path)
            self._in_trouble = False

    def _close(self) -> None:
        """Close the file. The next use opens it anew, because it may have been replaced."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def _begin_anew(self, why: str) -> None:
        try:
            set_aside(self.path, why)
        except OSError as error:
            log.error("%s is damaged and cannot be renamed: %s", self.path, error)
            return
        self._wake.set()  # waiting rows go into the new file
