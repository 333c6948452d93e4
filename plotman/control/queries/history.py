"""The farm's history: ask the hosts that keep it, and make the tables of `plotman history`."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePath
from typing import Any

from pydantic import ValidationError

from common.errors import PlotmanError
from common.history.pages import MOST_ROWS
from common.history.rows import ROW_OF_KIND, HistoryKind, LandingEnd, PlotEnd, Row, TransferEnd
from common.model.units import human_bytes, human_duration
from common.names import HARVESTER_HISTORY, PLOTTER_HISTORY, Role
from plotman.control.queries.tables import PlainTable
from plotman.control.rpc import NoAnswer, TaskCall, ask_each, hosts_of

_ANSWER_S = 20.0  # a host may have to read a slow disk

_TASK = {
    HistoryKind.PLOTS: (Role.PLOTTER, PLOTTER_HISTORY),
    HistoryKind.TRANSFERS: (Role.PLOTTER, PLOTTER_HISTORY),
    HistoryKind.LANDINGS: (Role.HARVESTER, HARVESTER_HISTORY),
}


@dataclass(frozen=True)
class HistoryResult:
    """The farm's rows. rows: newest first. missing: host -> why its rows are missing."""

    kind: HistoryKind
    rows: tuple[Row, ...]
    missing: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """`plotman history --json`: documented in docs/cli.md; keys are only ever added."""
        return {
            "version": 1,
            "kind": self.kind.value,
            "rows": [row.model_dump(mode="json") for row in self.rows],
            "missing": [{"host": host, "why": why} for host, why in self.missing.items()],
        }


def gather(
    kind: HistoryKind,
    host: str | None = None,
    since: datetime | None = None,
    most: int | None = None,
    failed: bool = False,
) -> HistoryResult:
    """Ask the farm's hosts for their history.

    Args:
        host: only this one; None: all.
        since: only rows that ended later.
        most: number of rows, the newest; None: all.
        failed: only failures.

    Returns:
        The rows; hosts that do not answer are named in `missing`.

    Raises:
        NoSuchHost, BrokerError, or NoAnswer if no host answers.
    """
    role, task = _TASK[kind]
    hosts, missing = _hosts(role, host)
    ask: dict[str, Any] = {"kind": kind.value, "failed": failed}
    if since is not None:
        ask["since"] = since.isoformat()
    rows: dict[str, list[Row]] = {name: [] for name in hosts}
    pending: dict[str, str | None] = dict.fromkeys(hosts)
    while pending:
        calls = [
            TaskCall(
                task, name, ask | {"limit": _page(most, rows[name])} | ({"after": after} if after else {})
            )
            for name, after in pending.items()
        ]
        answers = zip(calls, ask_each(calls, timeout_s=_ANSWER_S), strict=True)
        pending = {}
        for call, answer in answers:
            if isinstance(answer, PlotmanError):
                missing[call.host] = str(answer)
                continue
            rows[call.host] += _known_rows(kind, answer["rows"])
            if answer["next"] and (most is None or len(rows[call.host]) < most):
                pending[call.host] = answer["next"]
    if missing and not any(rows.values()) and missing.keys() >= rows.keys():
        raise NoAnswer("No host answers with its history: " + "; ".join(missing.values()))
    merged = heapq.merge(*rows.values(), key=lambda row: row.ended_at, reverse=True)
    return HistoryResult(kind, tuple(merged)[:most], missing)


def _hosts(role: Role, host: str | None) -> tuple[list[str], dict[str, str]]:
    """Return the live hosts, and why others are missing. Raises NoSuchHost."""
    alive, meant = hosts_of(role, host)
    silent = [name for name in meant if name not in alive]
    return alive, {name: f"{role} {name} is silent: its history is not shown." for name in silent}


def _page(most: int | None, so_far: Sequence[Row]) -> int:
    return MOST_ROWS if most is None else max(1, min(MOST_ROWS, most - len(so_far)))


def _known_rows(kind: HistoryKind, rows: Sequence[dict[str, Any]]) -> Iterator[Row]:
    """Yield the valid rows; rows of a newer release may be invalid here."""
    for row in rows:
        try:
            yield ROW_OF_KIND[kind].model_validate(row)
        except ValidationError:
            continue


_PATHS = frozenset({"tmp", "dst", "from", "drive"})


def table(found: HistoryResult) -> PlainTable:
    """Make the table, the newest row first."""
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
         "end", "reason"),
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
