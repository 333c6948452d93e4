"""What the farm made and archived on each of the last 30 days, from the histories of its hosts."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import NamedTuple

from common.errors import PlotmanError
from common.history.rows import End, HistoryKind, LandingEnd, PlotEnd, Row, TransferEnd
from common.model.figures import MOST_FILE_BYTES
from plotman.control.queries.history import HistoryResult, gather
from plotman.control.rpc import hang_up

log = logging.getLogger(__name__)

DAYS = 30
_PACE_DAYS = 7
_EVERY_S = 120.0
_WITHIN_S = 60.0  # for a reading of plots, and of transfers; the page shows what came until then
# Of one host and day: a host may invent more, and must not take the room of others. The times are a sample.
_MOST_ROWS, _MOST_CLASSES, _MOST_TIMES, _MOST_DRIVES = 10_000, 8, 100, 1_024
_PHASES = ("phase1_s", "phase2_s", "phase3_s", "phase4_s")
PlotClass = tuple[str, int | None, int | None]  # plotter, k, compression: times of others are not comparable


class Quota(NamedTuple):
    """What may count only so often for a host and day. plots: the class, where its times count."""

    host: str
    what: str
    plots: PlotClass | None = None


@dataclass
class DayTotals:
    """Sums of one day. phases: by class of plots; seconds of each phase of each plot. arrived: bytes by
    (harvester, drive). taken: how much of each quota."""

    made: int = 0
    made_bytes: int = 0
    archived: int = 0
    archived_bytes: int = 0
    phases: dict[PlotClass, list[tuple[float | None, ...]]] = field(default_factory=dict)
    arrived: Counter[tuple[str, str]] = field(default_factory=Counter)
    taken: Counter[Quota] = field(default_factory=Counter)

    def takes(self, most: int, quota: Quota) -> bool:
        """Take one of a quota; False, and nothing is taken, if `most` were taken already."""
        if self.taken[quota] >= most:
            return False
        self.taken[quota] += 1
        return True


@dataclass(frozen=True)
class Trends:
    """days: the oldest first. note: why they are not known, or what they lack; None: nothing. known: False:
    no host has answered yet."""

    days: tuple[date, ...] = ()
    totals: tuple[DayTotals, ...] = ()
    note: str | None = "The hosts are asked for their history."
    known: bool = False

    def phase_times(self) -> tuple[PlotClass | None, list[list[float | None]]]:
        """Return the class with most plots, and by phase the mean seconds of its plots on each day."""
        counts: Counter[PlotClass] = Counter()
        for day in self.totals:
            counts.update({kind: len(plots) for kind, plots in day.phases.items()})
        if not counts:
            return None, []
        ((kind, _),) = counts.most_common(1)
        means = [
            [_mean(plot[number] for plot in day.phases.get(kind, ())) for day in self.totals]
            for number in range(len(_PHASES))
        ]
        return kind, means

    def bytes_per_day(self) -> dict[tuple[str, str], float]:
        """Return by (harvester, drive) the bytes per day of the last week, or since the first plot in it."""
        sums: Counter[tuple[str, str]] = Counter()
        last = self.totals[-_PACE_DAYS:]
        days = next((len(last) - at for at, day in enumerate(last) if day.arrived), 0)
        for day in last:
            sums.update(day.arrived)
        return {place: count / days for place, count in sums.items()} if days else {}


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def add_up(rows: Iterable[Row], found: Mapping[date, DayTotals]) -> None:
    """Add rows of plots, transfers and landings to the sums of their day, in this machine's local time. Other
    days are left out."""
    for row in rows:
        day = found.get(row.ended_at.astimezone().date())
        size_bytes = min(max(0, row.size_bytes or 0), MOST_FILE_BYTES)
        if day is None or not day.takes(_MOST_ROWS, Quota(row.host, type(row).__name__)):
            continue
        if isinstance(row, PlotEnd) and row.end is End.DONE:
            day.made += 1
            day.made_bytes += size_bytes
            _add_times(row, day)
        elif isinstance(row, TransferEnd) and row.end is End.ARCHIVED:
            day.archived += 1
            day.archived_bytes += size_bytes
        elif isinstance(row, LandingEnd) and row.end is End.LANDED and row.drive:
            place = (row.host, row.drive)  # a harvester's own word on its drive
            if place in day.arrived or day.takes(_MOST_DRIVES, Quota(row.host, "drives")):
                day.arrived[place] += size_bytes


def _add_times(row: PlotEnd, day: DayTotals) -> None:
    kind = (row.plotter, row.k, row.compression)
    times_quota = Quota(row.host, "times", kind)
    is_known = times_quota in day.taken or day.takes(_MOST_CLASSES, Quota(row.host, "classes"))
    if is_known and day.takes(_MOST_TIMES, times_quota):
        times = tuple(getattr(row, name) for name in _PHASES)
        day.phases.setdefault(kind, []).append(times)


class TrendReader:
    """Asks the hosts in a thread of its own while the page is looked at. ask: gathers a history."""

    def __init__(self, ask: Callable[..., HistoryResult] = gather) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._busy = False
        self._next_s = float("-inf")
        self._known: dict[date, DayTotals] = {}
        self._missing: frozenset[str] = frozenset()  # hosts, at the last reading
        self._trends = Trends()

    def trends(self) -> Trends:
        """Return what is known now. It does not wait: the hosts may take seconds to answer."""
        with self._lock:
            if not self._busy and time.monotonic() >= self._next_s:
                self._busy = True
                threading.Thread(target=self._refresh, name="trends", daemon=True).start()
            return self._trends

    def _refresh(self) -> None:
        before, fresh = self._trends, None
        try:
            fresh = self._read(datetime.now().astimezone())
        except PlotmanError as error:
            fresh = replace(before, note=str(error))
        except Exception:
            log.exception("the history of the farm was not read")
            fresh = replace(before, note="The history was not read; flower.log says why.")
        finally:
            with self._lock:
                self._trends, self._busy = fresh or before, False
                self._next_s = time.monotonic() + _EVERY_S
            hang_up()

    def _read(self, now: datetime) -> Trends:
        days = [now.date() - timedelta(days=ago) for ago in reversed(range(DAYS))]
        # Days before yesterday do not change any more. When other hosts are missing, all are read again.
        stale = days[-2:] if all(day in self._known for day in days[:-2]) else days
        since = datetime.combine(stale[0], datetime.min.time()).astimezone()
        missing: dict[str, str] = {}
        anew = {day: DayTotals() for day in stale}
        for kind in HistoryKind:
            # Summed up as they come: a host may send gigabytes.
            answer = self._ask(kind, since=since, take=partial(add_up, found=anew), within_s=_WITHIN_S)
            missing |= answer.missing
        sums = {**self._known, **anew}
        is_as_before = stale is days or missing.keys() == self._missing
        self._known = {day: sums[day] for day in days} if is_as_before else {}
        self._missing = frozenset(missing)
        note = " ".join(missing.values()) or None
        return Trends(tuple(days), tuple(sums[day] for day in days), note, known=True)
