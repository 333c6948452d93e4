"""The farm's history: ask the hosts that keep it, and make the tables of `plotman history`."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePath
from typing import Any

from pydantic import ValidationError

from common.errors import PlotmanError
from common.history.pages import MOST_ROWS
from common.history.rows import ROW_OF_KIND, HistoryKind, PlotEnd, Row
from common.model.units import human_bytes_alike, human_duration
from common.names import HARVESTER_HISTORY, PLOTTER_HISTORY, Role
from plotman.control.queries.tables import PlainTable, or_unknown
from plotman.control.rpc import NoAnswer, TaskCall, ask_each, hosts_of, unreadable

_ANSWER_S = 20.0  # a host may have to read a slow disk
_MOST_PAGES = 200  # of one host: 200,000 rows

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
    take: Callable[[Sequence[Row]], None] | None = None,
    within_s: float = float("inf"),
) -> HistoryResult:
    """Ask the farm's hosts for their history; hosts that do not answer are named in `missing`.

    Args:
        host: Only this one.
        since: Only rows that ended later.
        most: Number of rows, the newest; None: all.
        failed: Only what failed.
        take: Gets the rows of a host as they come, which are then not kept. None: they are in the result.
        within_s: After it no more pages are asked for, in seconds.

    Raises NoSuchHost, BrokerError, or NoAnswer if no host answers.
    """
    role, task = _TASK[kind]
    hosts, missing = _hosts(role, host)
    ask: dict[str, Any] = {"kind": kind.value, "failed": failed}
    if since is not None:
        ask["since"] = since.isoformat()
    rows: dict[str, list[Row]] = {name: [] for name in hosts}
    seen: dict[str, set[tuple[str, str]]] = {name: set() for name in hosts}
    pending: dict[str, str | None] = dict.fromkeys(hosts)
    answered, until_s = False, time.monotonic() + within_s
    for _ in range(_MOST_PAGES):
        if time.monotonic() > until_s:
            break
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
            answered = True
            known = list(_known_rows(kind, call.host, answer["rows"]))
            if take is None:
                rows[call.host] += known
            else:
                take(known)
            if not answer["next"] or (most is not None and len(rows[call.host]) >= most):
                continue
            places = {(row["ended_at"], row["key"]) for row in answer["rows"]} - seen[call.host]
            if not places or answer["next"] == call.kwargs.get("after"):
                missing[call.host] = str(unreadable(call))
                continue
            seen[call.host] |= places
            pending[call.host] = answer["next"]
        if not pending:
            break
    for name in pending:
        part = f"only the newest {_MOST_PAGES} pages of its history are shown. Name a later --since."
        late = f"only the newest part of the history of {name} came within {within_s:.0f} s."
        missing[name] = part if within_s == float("inf") else late
    if missing and not answered and missing.keys() >= rows.keys():
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


def _known_rows(kind: HistoryKind, host: str, rows: Sequence[dict[str, Any]]) -> Iterator[Row]:
    """Yield the valid rows of this host; rows of a newer release may be invalid here."""
    for row in rows:
        try:
            known = ROW_OF_KIND[kind].model_validate(row)
        except ValidationError:
            continue
        if known.host == host:
            yield known


def table(found: HistoryResult) -> PlainTable:
    """Make the table, the newest row first."""
    columns, spare = _TABLES[found.kind]
    made = PlainTable.of(found.rows, columns, right=_RIGHT, spare=spare, paths=_PATHS)
    sizes = human_bytes_alike([row.size_bytes for row in found.rows], "")
    rates = human_bytes_alike([getattr(row, "rate_bytes_s", None) or None for row in found.rows], "")
    return made.with_column("size", sizes).with_column("rate", [rate and f"{rate}/s" for rate in rates])


def _id_of(row: Row) -> str:
    if row.plot_id:
        return row.plot_id[:8]
    return "--------" if isinstance(row, PlotEnd) or not row.path else PurePath(row.path).name


_PLOT: dict[str, Callable[[Any], str]] = {
    "ended": lambda row: _time(row.ended_at),
    "plot id": _id_of,
    "host": lambda row: row.host,
    "plotter": lambda row: row.plotter,
    "k": lambda row: or_unknown(row.k),
    "tmp": lambda row: row.tmp or "",
    "dst": lambda row: row.dst or "",
    "wall": lambda row: _duration(row.wall_s),
    "1": lambda row: _duration(row.phase1_s),
    "2": lambda row: _duration(row.phase2_s),
    "3": lambda row: _duration(row.phase3_s),
    "4": lambda row: _duration(row.phase4_s),
    "copy": lambda row: _duration(row.copy_s),
    "size": lambda _: "",  # filled for the whole column: `table`
    "end": lambda row: row.end.value,
    "reason": lambda row: row.reason or "",
}
_MOVE: dict[str, Callable[[Any], str]] = {
    **{name: _PLOT[name] for name in ("ended", "plot id", "host", "size", "end")},
    "to": lambda row: f"{row.harvester or '?'}:{row.drive}" if row.drive else row.harvester or "?",
    "from": lambda row: row.source_host or "?",
    "drive": lambda row: row.drive or "?",
    "took": lambda row: _duration(row.transfer_s),
    "rate": lambda _: "",
    "checks": lambda row: _duration(row.admit_s),
    "tries": lambda row: "" if row.attempts is None else str(row.attempts),
    "how": lambda row: row.reason or row.verified or "",
}
_TRANSFER = ("ended", "plot id", "host", "to", "size", "took", "rate", "checks", "tries", "end", "how")
_LANDING = ("ended", "plot id", "host", "from", "drive", "size", "checks", "end", "how")
# Columns, and those that a narrow terminal leaves out.
_TABLES = {
    HistoryKind.PLOTS: (_PLOT, ("copy", "4", "3", "2", "1", "k", "size", "plotter", "dst")),
    HistoryKind.TRANSFERS: ({name: _MOVE[name] for name in _TRANSFER}, ("checks", "tries", "size", "took")),
    HistoryKind.LANDINGS: ({name: _MOVE[name] for name in _LANDING}, ("checks", "size")),
}
_RIGHT = frozenset({"k", "wall", "1", "2", "3", "4", "copy", "size", "took", "rate", "checks", "tries"})
_PATHS = frozenset({"tmp", "dst", "from", "drive"})


def _time(time: datetime) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S}"


def _duration(duration_s: float | None) -> str:
    if duration_s is None:
        return ""
    return human_duration(duration_s) if duration_s >= 10 else f"{duration_s:.1f}s"
