"""Counts the successes of the last days, in memory."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from common.history.rows import End, PlotEnd, Row
from common.model.snapshot import Tally

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
