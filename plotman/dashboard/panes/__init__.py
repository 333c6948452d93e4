"""The tables of the dashboard, from the state of the farm. Pure.

Figures and words are the same as in `status` and `dirs` (plotman.control.queries.tables). Each row also has
its subject, for commands to act on.
"""

from __future__ import annotations

from plotman.control.farm import FarmState, narrowed
from plotman.control.queries import scheduler_status
from plotman.control.queries.attention import is_calm
from plotman.control.queries.scheduler_status import WaitReasons
from plotman.dashboard.model import (
    Cell,
    CellLevel,
    Column,
    Row,
    RowKind,
    RowSubject,
    Table,
    shortened,
    without,
)
from plotman.dashboard.panes.archiving import drives, moves
from plotman.dashboard.panes.inventory import inventory
from plotman.dashboard.panes.machines import machines
from plotman.dashboard.panes.plotting import dsts, plots, tmps


def all_tables(farm: FarmState, host: str | None) -> dict[str, Table]:
    """Every pane but the log, by name. host: only this one; None: all. Raises NoSuchHost."""
    shown = narrowed(farm, host)
    reasons = WaitReasons(farm)
    made = (
        plots(shown),
        tmps(shown, reasons),
        dsts(shown),
        drives(shown),
        moves(shown, reasons),
        waits(shown),
    )
    found = {table.name: shortened(without(table, "host") if host else table) for table in made}
    return found | {"machines": shortened(machines(shown, reasons)), "classes": inventory(shown)}


_WAIT_COLUMNS = (
    Column("host", spare=1),
    Column("what", path=True),
    Column("waits because", stretch=True, reason=True),
)


def waits(farm: FarmState) -> Table:
    found = [(is_calm(farm, wait), wait) for wait in scheduler_status.waits(farm)]
    found.sort(key=lambda one: (one[0], one[1].host, one[1].subject or ""))
    rows = tuple(
        Row(
            RowSubject(RowKind.WAIT, wait.host, f"{wait.subject} {wait.rule}"),
            (Cell(wait.host), Cell(wait.subject or "all"), Cell(wait.reason)),
            CellLevel.QUIET if calm else CellLevel.NOTICE,
        )
        for calm, wait in found
    )
    unknown = scheduler_status.nobody_decides(farm)
    empty = f"not known: {scheduler_status.NOBODY}" if unknown else "nothing waits"
    return Table("waits", "Waiting", _WAIT_COLUMNS, rows, empty)
