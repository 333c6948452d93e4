"""The history as rows of plain values, for people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import PurePath
from typing import Any

from common.history.rows import BAD, HistoryKind, LandingEnd, PlotEnd, TransferEnd
from common.model.units import human_bytes, human_duration
from plotman.control.queries.history import HistoryResult
from plotman.control.queries.tables import PlainTable

_PATHS = frozenset({"tmp", "dst", "from", "drive"})


def table(found: HistoryResult) -> PlainTable:
    """The newest first."""
    columns, spare, row_of = _TABLES[found.kind]
    rows = tuple(row_of(row) for row in found.rows)
    return PlainTable(columns, rows, right=_RIGHT, spare=spare, paths=_PATHS)


def _plot(row: PlotEnd) -> tuple[str, ...]:
    return (
        _time(row.ended_at),
        _id(row.plot_id),
        row.host,
        row.plotter,
        _or_unknown(row.k),
        row.tmp or "",
        row.dst or "",
        _duration(row.wall_s),
        *(_duration(seconds) for seconds in (row.phase1_s, row.phase2_s, row.phase3_s, row.phase4_s)),
        _duration(row.copy_s),
        _size(row.size_bytes),
        row.end.value,
        row.reason or "",
    )


def _transfer(row: TransferEnd) -> tuple[str, ...]:
    to = f"{row.harvester or '?'}:{row.drive}" if row.drive else row.harvester or "?"
    return (
        _time(row.ended_at),
        _id(row.plot_id, row.path),
        row.host,
        to,
        _size(row.size_bytes),
        _duration(row.transfer_s),
        f"{human_bytes(row.rate_bytes_s)}/s" if row.rate_bytes_s else "",
        _duration(row.admit_s),
        "" if row.attempts is None else str(row.attempts),
        row.end.value,
        row.reason or row.verified or "",
    )


def _landing(row: LandingEnd) -> tuple[str, ...]:
    return (
        _time(row.ended_at),
        _id(row.plot_id, row.path),
        row.host,
        row.source_host or "?",
        row.drive or "?",
        _size(row.size_bytes),
        _duration(row.admit_s),
        row.end.value,
        row.reason or row.verified or "",
    )


_TABLES: dict[HistoryKind, tuple[tuple[str, ...], tuple[str, ...], Callable[[Any], tuple[str, ...]]]] = {
    HistoryKind.PLOTS: (
        ("ended", "plot id", "host", "plotter", "k", "tmp", "dst", "wall", "1", "2", "3", "4", "copy", "size",
         "end", "because"),
        ("copy", "4", "3", "2", "1", "k", "size", "plotter", "dst"),
        _plot,
    ),
    HistoryKind.TRANSFERS: (
        ("ended", "plot id", "host", "to", "size", "took", "rate", "checks", "tries", "end", "how"),
        ("checks", "tries", "size", "took"),
        _transfer,
    ),
    HistoryKind.LANDINGS: (
        ("ended", "plot id", "host", "from", "drive", "size", "checks", "end", "how"),
        ("checks", "size"),
        _landing,
    ),
}  # fmt: skip
_RIGHT = frozenset({"k", "wall", "1", "2", "3", "4", "copy", "size", "took", "rate", "checks", "tries"})


def failures(found: HistoryResult) -> int:
    """How many did not end well."""
    return sum(row.end in BAD for row in found.rows)


def _time(time: datetime) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S}"


def _id(plot_id: str | None, path: str | None = None) -> str:
    return plot_id[:8] if plot_id else PurePath(path).name if path else "--------"


def _duration(duration_s: float | None) -> str:
    if duration_s is None:
        return ""
    return human_duration(duration_s) if duration_s >= 10 else f"{duration_s:.1f}s"


def _size(size_bytes: int | None) -> str:
    return "" if size_bytes is None else human_bytes(size_bytes)


def _or_unknown(value: object) -> str:
    return "?" if value is None else str(value)
