"""Plots and bytes per day that the farm makes and moves, and when its drives will be full. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from common.model.disk_usage import free_bytes_once
from common.model.snapshot import Tally
from common.model.units import counted, human_bytes, human_duration
from plotman.control.farm import FarmState
from plotman.control.queries.tables import PlainTable

_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
_LEAST = timedelta(hours=1)
_TIB = 2**40


@dataclass(frozen=True)
class Pace:
    """Successful plots or moves. over: the time that `week_*` covers, 7 days or less; None: unknown."""

    day_count: int
    day_bytes: int
    week_count: int
    week_bytes: int
    over: timedelta | None

    @property
    def count_per_day(self) -> float | None:
        """None if less than an hour was counted."""
        return self._per_day(self.week_count)

    @property
    def bytes_per_day(self) -> float | None:
        return self._per_day(self.week_bytes)

    @property
    def day_span(self) -> str:
        """The time that `day_*` covers: `24 h`; less in a young farm, as `2h 13m`."""
        if self.over is None or self.over >= _DAY:
            return "24 h"
        return human_duration(self.over.total_seconds())

    def _per_day(self, number: int) -> float | None:
        if self.over is None or self.over < _LEAST:
            return None
        return number / (self.over / _DAY)


@dataclass(frozen=True)
class Forecast:
    """When the drives are full.

    drives: number of active ones with known free bytes. free_bytes: on those that are not full.
    days: until they are full; 0: they are; None: not known, see `why`.
    """

    made: Pace
    archived: Pace
    drives: int
    free_bytes: int
    unknown_drives: int
    days: float | None
    why: str | None


def pace(tallies: Iterable[Tally | None], now: datetime) -> Pace:
    """Sum up the counts of several hosts."""
    known = [tally for tally in tallies if tally is not None]
    since = min((tally.since for tally in known if tally.since), default=None)
    return Pace(
        day_count=sum(tally.day_count for tally in known), day_bytes=sum(tally.day_bytes for tally in known),
        week_count=sum(tally.week_count for tally in known),
        week_bytes=sum(tally.week_bytes for tally in known),
        over=None if since is None else min(_WEEK, max(now - since, timedelta(0))),
    )  # fmt: skip


def forecast(farm: FarmState) -> Forecast:
    """Compute the forecast of the farm."""
    archived = pace((snapshot.tally for snapshot in farm.archivers.values()), farm.at)
    active = [
        (harvester, drive)
        for harvester in farm.harvesters.values()
        for drive in harvester.drives
        if drive.takes_plots
    ]
    known = [drive for _, drive in active if drive.free_bytes is not None]
    taking = [(harvester, drive) for harvester, drive in active if not drive.full]
    free_bytes = free_bytes_once(taking)
    rate = archived.bytes_per_day
    days, why = None, None
    if not active:
        why = "no drive takes plots"
    elif not known:
        why = "the free space of the drives is not known"
    elif not taking:
        days = 0.0
    elif rate is None:
        why = "plots were archived for less than an hour"
    elif rate == 0:
        why = "nothing was archived in the last 7 days"
    else:
        days = free_bytes / rate
    return Forecast(
        made=pace((snapshot.tally for snapshot in farm.plotters.values()), farm.at), archived=archived,
        drives=len(known), free_bytes=free_bytes, unknown_drives=len(active) - len(known), days=days, why=why,
    )  # fmt: skip


def paces_table(farm: FarmState) -> PlainTable:
    """Make the table of plots made and archived, by host and for the farm."""
    rows: list[tuple[str, str, Pace]] = []
    for what, snapshots in (("made", farm.plotters), ("archived", farm.archivers)):
        rows += [(what, host, pace([snapshot.tally], farm.at)) for host, snapshot in snapshots.items()]
        if len(snapshots) > 1:
            rows.append((what, "all", pace((snapshot.tally for snapshot in snapshots.values()), farm.at)))
    spare = ("TiB 7d", "plots 7d", "TiB 24h", "plots 24h")
    return PlainTable.of(rows, _COLUMNS, right=frozenset([*_COLUMNS][2:]), spare=spare)


_COLUMNS: dict[str, Callable[[tuple[str, str, Pace]], str]] = {
    "what": lambda row: row[0],
    "host": lambda row: row[1],
    "plots 24h": lambda row: str(row[2].day_count),
    "TiB 24h": lambda row: _tib(row[2].day_bytes),
    "plots 7d": lambda row: str(row[2].week_count),
    "TiB 7d": lambda row: _tib(row[2].week_bytes),
    "plots/day": lambda row: "?" if row[2].count_per_day is None else f"{row[2].count_per_day:.1f}",
    "TiB/day": lambda row: _tib(row[2].bytes_per_day),
}


def sentence(result: Forecast) -> str:
    """Describe the forecast in a sentence."""
    drives = f"{counted(result.drives, 'drive')} with {human_bytes(result.free_bytes)} free"
    if result.unknown_drives:
        drives += f" (not known of {result.unknown_drives} more)"
    if result.days is None:
        return f"{drives}; when they are full is not known: {result.why}."
    if not result.days:
        return f"{drives}: full."
    over = result.archived.over or timedelta(0)
    days = over / _DAY
    base = f"{days:.0f} days" if days >= 2 else counted(round(over / _LEAST), "hour")
    return f"{drives}: full in {result.days:.1f} days, at the pace of the last {base}."


def forecast_json(farm: FarmState) -> dict[str, Any]:
    """`plotman history --summary --json`: documented in docs/cli.md."""
    result = forecast(farm)
    return {
        "version": 1,
        "updated": farm.at.isoformat(),
        "made": _pace_json(result.made),
        "archived": _pace_json(result.archived),
        "drives": {
            "free_bytes": result.free_bytes,
            "known": result.drives,
            "unknown": result.unknown_drives,
            "days_until_full": result.days,
            "why_unknown": result.why,
        },
        "hosts": {
            role: {host: each.tally.model_dump(mode="json") for host, each in snapshots.items() if each.tally}
            for role, snapshots in (("plotters", farm.plotters), ("archivers", farm.archivers))
        },
    }


def _pace_json(result: Pace) -> dict[str, Any]:
    over_s = result.over.total_seconds() if result.over is not None else None
    per_day = {"count_per_day": result.count_per_day, "bytes_per_day": result.bytes_per_day}
    counts = asdict(result)
    del counts["over"]
    return {**counts, "over_s": over_s, **per_day}


def _tib(size_bytes: float | None) -> str:
    if size_bytes is None:
        return "?"
    tib = size_bytes / _TIB
    return f"{tib:.2f}" if tib >= 0.01 or tib == 0 else f"{tib:.6f}"
