"""The farm's history, asked of the hosts that keep it."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from common.errors import PlotmanError
from common.history.pages import MOST_ROWS
from common.history.rows import ROW_OF_KIND, HistoryKind, Row
from common.names import HARVESTER_HISTORY, PLOTTER_HISTORY, Role
from plotman.control.rpc import NoAnswer, TaskCall, ask_each, those_of

_ANSWER_S = 20.0  # a host may have to read a slow disk

_TASK = {
    HistoryKind.PLOTS: (Role.PLOTTER, PLOTTER_HISTORY),
    HistoryKind.TRANSFERS: (Role.PLOTTER, PLOTTER_HISTORY),
    HistoryKind.LANDINGS: (Role.HARVESTER, HARVESTER_HISTORY),
}


@dataclass(frozen=True)
class HistoryResult:
    """rows: newest first. missing: host -> why its rows are not among them."""

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
    """What the farm's hosts, or one of them, keep. most: so many of the newest; None: all. failed: only what
    did not end well.

    Hosts that do not answer are named in the result. Raises NoSuchHost, NobodyThere where none
    does, and BrokerError.
    """
    role, task = _TASK[kind]
    hosts, missing = _hosts(role, host)
    ask: dict[str, Any] = {"kind": kind.value, "failed": failed}
    if since is not None:
        ask["since"] = since.isoformat()
    rows: dict[str, list[Row]] = {name: [] for name in hosts}
    pending: dict[str, str | None] = dict.fromkeys(hosts)
    while pending:
        questions = [
            TaskCall(
                task, name, ask | {"limit": _page(most, rows[name])} | ({"after": after} if after else {})
            )
            for name, after in pending.items()
        ]
        answers = zip(questions, ask_each(questions, timeout_s=_ANSWER_S), strict=True)
        pending = {}
        for question, answer in answers:
            if isinstance(answer, PlotmanError):
                missing[question.host] = str(answer)
                continue
            rows[question.host] += _understood(kind, answer["rows"])
            if answer["next"] and (most is None or len(rows[question.host]) < most):
                pending[question.host] = answer["next"]
    if missing and not any(rows.values()) and missing.keys() >= rows.keys():
        raise NoAnswer("No host tells its history: " + "; ".join(missing.values()))
    merged = heapq.merge(*rows.values(), key=lambda row: row.ended_at, reverse=True)
    return HistoryResult(kind, tuple(merged)[:most], missing)


def _hosts(role: Role, host: str | None) -> tuple[list[str], dict[str, str]]:
    """Those to be asked, and why others are not. Raises NoSuchHost."""
    alive, meant = those_of(role, host)
    silent = [name for name in meant if name not in alive]
    return alive, {name: f"{role} {name} is silent: its history is not shown." for name in silent}


def _page(most: int | None, so_far: Sequence[Row]) -> int:
    return MOST_ROWS if most is None else max(1, min(MOST_ROWS, most - len(so_far)))


def _understood(kind: HistoryKind, rows: Sequence[dict[str, Any]]) -> Iterator[Row]:
    """Rows of a newer release that mean nothing here are left out."""
    for row in rows:
        try:
            yield ROW_OF_KIND[kind].model_validate(row)
        except ValidationError:
            continue
