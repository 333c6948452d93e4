"""The pane of the waits, and a lookup of wait reasons for the other panes. Pure."""

from __future__ import annotations

from common.model.snapshot import Wait
from plotman.control.farm import FarmState
from plotman.control.queries import scheduler_status
from plotman.dashboard.model import Cell, Column, Row, RowKind, RowSubject, Table


class WaitReasons:
    """Wait reasons by host and subject."""

    def __init__(self, farm: FarmState) -> None:
        self._first: dict[tuple[str, str | None], Wait] = {}
        self._undecided = scheduler_status.nobody_decides(farm)
        for wait in scheduler_status.waits(farm):
            self._first.setdefault((wait.host, wait.subject), wait)

    def reason(self, host: str, *subjects: str | None) -> str:
        """The first reason among these subjects; empty if none waits. Without a scheduler all wait."""
        if self._undecided:
            return scheduler_status.NOBODY
        return next((self._first[host, one].reason for one in subjects if (host, one) in self._first), "")


_WAIT_COLUMNS = (
    Column("host", spare=1),
    Column("what", path=True),
    Column("rule", spare=2),
    Column("waits because", stretch=True),
)


def waits(farm: FarmState) -> Table:
    found = sorted(scheduler_status.waits(farm), key=lambda wait: (wait.host, wait.subject or ""))
    rows = tuple(
        Row(
            RowSubject(RowKind.WAIT, wait.host, f"{wait.subject} {wait.rule}"),
            (Cell(wait.host), Cell(wait.subject or "all"), Cell(wait.rule), Cell(wait.reason)),
        )
        for wait in found
    )
    unknown = scheduler_status.nobody_decides(farm)
    empty = f"not known: {scheduler_status.NOBODY}" if unknown else "nothing waits"
    return Table("waits", "Waiting", _WAIT_COLUMNS, rows, empty)
