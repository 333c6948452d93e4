"""Whether chia farms what lies on the drives: the answers of the harvesters that know their chia."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from common.errors import PlotmanError
from common.model.inventory import FarmedRow, FileRow, InventoryPage
from common.names import INVENTORY
from plotman.control.queries.inventory import harvesters
from plotman.control.queries.tables import PlainTable
from plotman.control.rpc import TaskCall, ask_each

_ANSWER_S = 60.0  # chia lists 100,000 plots in some seconds


@dataclass
class FarmedAnswers:
    """drives, files: by host; files: the first that are not farmed. missing: host -> why."""

    drives: list[tuple[str, FarmedRow]] = field(default_factory=list)
    files: list[tuple[str, FileRow]] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


def ask_farmed(host: str | None, drive: str | None) -> FarmedAnswers:
    """Ask harvesters what their chia farms. Raises NoSuchHost, NoAnswer, BrokerError.

    Args:
        host: only this one; None: all.
        drive: only this one; None: all.
    """
    alive, missing = harvesters(host)
    kwargs = {"what": InventoryPage.FARMED.value} | ({} if drive is None else {"drive": drive})
    calls = [TaskCall(INVENTORY, name, kwargs) for name in alive]
    found = FarmedAnswers(missing=dict(missing))
    for call, answer in zip(calls, ask_each(calls, timeout_s=_ANSWER_S), strict=True):
        if isinstance(answer, PlotmanError):
            found.missing[call.host] = str(answer)
            continue
        found.drives += [(call.host, FarmedRow.model_validate(row)) for row in answer["farmed"]]
        found.files += [(call.host, FileRow.model_validate(row)) for row in answer["files"]]
    return found


def table(found: FarmedAnswers) -> PlainTable:
    """Make the table, a row for each drive."""
    rows = [
        (
            host,
            row.drive,
            "yes" if row.searched else "no",
            f"{row.files:,}",
            f"{row.farmed:,}",
            f"{row.failed:,}",
            f"{_unopened(row):,}",
        )
        for host, row in found.drives
    ]
    columns = ("host", "drive", "searched", "files", "farmed", "failed", "not opened")
    return PlainTable(columns, tuple(rows), right=frozenset(columns[3:]), paths=frozenset({"drive"}))


def remedies(found: FarmedAnswers) -> Iterable[str]:
    """What to do, a sentence each."""
    for host, row in found.drives:
        if not row.searched and row.files:
            yield f"{host}: chia does not search {row.drive}. Run `chia plots add -d {row.drive}` there."


def as_dict(found: FarmedAnswers) -> dict[str, Any]:
    """`plotman inventory --farmed --json`."""
    return {
        "version": 1,
        "drives": [
            {"host": host, **row.model_dump(mode="json"), "unopened": _unopened(row)}
            for host, row in found.drives
        ],
        "files": [
            {"host": host, "drive": file.drive, "name": file.name, "reason": file.reason}
            for host, file in found.files
        ],
        "missing": [{"host": host, "why": why} for host, why in found.missing.items()],
    }


def _unopened(row: FarmedRow) -> int:
    return max(0, row.files - row.farmed - row.failed)
