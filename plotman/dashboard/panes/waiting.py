"""The pane of the waits. Pure."""

from __future__ import annotations

from plotman.control.farm import FarmState
from plotman.control.queries import scheduler_status
from plotman.dashboard.model import Cell, Column, Row, RowKind, RowSubject, Table

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
