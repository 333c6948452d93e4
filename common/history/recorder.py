"""The one writer of a process' history. Whatever befalls its file, nobody who tells it something waits or
fails, and no plot depends on it."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from common.history.recent_counts import WEEK, RecentCounts
from common.history.rows import HistoryKind, Row
from common.history.store import HistoryFile, is_broken, open_or_begin_anew, set_aside
from common.model.snapshot import Tally
from common.names import Role

log = logging.getLogger(__name__)

Rows = Callable[[], Iterable[Row]]

_KEPT = 10_000  # rows that wait while the file cannot be written; the oldest go first
_RETRY_S = 30.0
_STOP_S = 3.0
_PRUNE_S = 86_400.0
# A number or text that SQLite cannot hold, from a log or a message: it must not keep the others out.
_UNFIT = (OverflowError, ValueError, sqlite3.IntegrityError, sqlite3.ProgrammingError)
_LOADED = 100_000  # rows of a week; more than any one host makes


def history_path(state_dir: Path, role: Role) -> Path:
    """Where a role of this host keeps its history."""
    return state_dir / "history" / f"{role}.sqlite3"


class Recorder:
    """kind: the rows that are counted for `tally`. keep: how long rows are kept; None: for ever.
    changed: called when the tally is another one.
    """

    def __init__(
        self,
        path: Path,
        kind: HistoryKind,
        changed: Callable[[], None],
        keep: timedelta | None = None,
        retry_s: float = _RETRY_S,
    ) -> None:
        self.path = path
        self._kind = kind
        self._changed = changed
        self._keep = keep
        self._retry_s = retry_s
        self._tallying = RecentCounts()
        self._told: deque[Rows] = deque(maxlen=_KEPT)
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
        """Write what is left, if that goes at once."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=_STOP_S)

    def put(self, *rows: Row) -> None:
        """Keep these; at once, in the writer's thread."""
        self.later(lambda: rows)

    def later(self, rows: Rows) -> None:
        """Keep what this gives; called in the writer's thread, where it may look at files."""
        self._told.append(rows)
        self._wake.set()

    def tally(self) -> Tally:
        """Of the last days."""
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
            if self._stopping and not self._told:
                break
        if self._file is not None:
            self._file.close()

    def _take(self) -> None:
        """Make the rows that were told of."""
        while self._told:
            make = self._told.popleft()
            try:
                rows = tuple(make())
            except Exception:
                # A bug in one row must not end the thread that keeps all others.
                log.exception("something is missing in the history", extra={"action": "history-failed"})
                continue
            for row in rows:
                self._tallying.add(row)
            self._waiting.extend(rows)
            self._changed()

    def _write(self, file: HistoryFile) -> None:
        try:
            file.put(self._waiting)
        except _UNFIT:
            for row in self._waiting:
                try:
                    file.put([row])
                except _UNFIT as error:
                    log.error("the history does not take %s: %s", row, error)
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
        """Do this with the file; trouble is told once, and tried again later."""
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
                    "the history cannot be kept in %s now: %s. What happens is remembered and written when "
                    "that goes; plots are made and moved all the same.",
                    self.path,
                    error,
                    extra={"action": "history-failed"},
                )
        else:
            if self._in_trouble:
                log.info("the history is kept again in %s", self.path)
            self._in_trouble = False

    def _close(self) -> None:
        """The next use opens the file anew: it may have been replaced."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def _begin_anew(self, why: str) -> None:
        try:
            set_aside(self.path, why)
        except OSError as error:
            log.error("%s is damaged, and cannot be set aside: %s", self.path, error)
            return
        self._wake.set()  # what waits goes into the new file
