"""The pane of what lies on the drives, a row for each class of plots. Pure."""

from __future__ import annotations

from common.model.units import counted, human_bytes
from plotman.control.farm import FarmState
from plotman.control.queries.inventory import By, FarmInventory, by_snapshots, lines
from plotman.dashboard.model import Cell, CellLevel, Column, Row, RowKind, RowSubject, Table

_COLUMNS = (
    Column("class", stretch=True),
    Column("pool", spare=1),
    Column("plots", right=True),
    Column("size", right=True),
    Column("share", right=True, bar=True),
)
_BLANK = Cell("")


def inventory(farm: FarmState) -> Table:
    """Classes by size; then files that are no whole plots, duplicates, and how far a first reading is."""
    found = by_snapshots(farm)
    rows = []
    for line in lines(found, By.CLASS):
        name, pool = line.name
        share = Cell(f"{line.share:.0%}", line.share, line.share)
        figures = (Cell(f"{line.plots:,}", line.plots), Cell(human_bytes(line.bytes), line.bytes), share)
        rows.append(_row(f"{name} {pool}", (Cell(name), Cell(pool), *figures)))
    return Table("classes", "Inventory", _COLUMNS, (*rows, *_more(found)), "no inventory yet")


def _more(found: FarmInventory) -> list[Row]:
    rows = []
    if found.faults:
        size_bytes = sum(host.fault_bytes for host in found.hosts)
        size = Cell(human_bytes(size_bytes), size_bytes)
        word = Cell(f"no whole plots: {counted(found.faults, 'file')}")
        rows.append(_row("faults", (word, _BLANK, Cell("0", 0), size, _BLANK), CellLevel.NOTICE))
    if found.duplicates:
        word, count = Cell("twice on one machine"), Cell(f"{found.duplicates:,}", found.duplicates)
        rows.append(_row("duplicates", (word, _BLANK, count, _BLANK, _BLANK), CellLevel.NOTICE))
    for host in found.hosts:
        if host.progress:
            word = Cell(f"{host.host}: {host.progress}")
            rows.append(_row(f"reads {host.host}", (word, _BLANK, _BLANK, _BLANK, _BLANK), CellLevel.QUIET))
    return rows


def _row(what: str, cells: tuple[Cell, ...], level: CellLevel = CellLevel.PLAIN) -> Row:
    return Row(RowSubject(RowKind.CLASS, "", what), cells, level)
