"""Filter and order of a table's rows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plotman.dashboard.model import Cell, Row, Table


@dataclass(frozen=True)
class Order:
    """column: name of a column; None or an unknown name: the table's own order."""

    column: str | None = None
    reverse: bool = False


def matching(rows: Sequence[Row], words: str) -> tuple[Row, ...]:
    """Rows that contain each of the words in some cell. Upper and lower case are the same."""
    wanted = words.casefold().split()
    if not wanted:
        return tuple(rows)

    def matches(row: Row) -> bool:
        text = "\0".join(f"{cell.text}\0{cell.value}" for cell in row.cells).casefold()
        text = f"{text}\0{row.subject.host}".casefold()
        return all(word in text for word in wanted)

    return tuple(row for row in rows if matches(row))


def ordered(table: Table, order: Order) -> tuple[Row, ...]:
    """The rows sorted by the column. Unknown cells come last; otherwise the sort is stable."""
    names = [column.name for column in table.columns]
    if order.column not in names:
        return table.rows
    index = names.index(order.column)
    known = [row for row in table.rows if not _unknown(row.cells[index])]
    unknown = [row for row in table.rows if _unknown(row.cells[index])]
    known.sort(key=lambda row: _rank(row.cells[index]), reverse=order.reverse)
    return (*known, *unknown)


def next_order(table: Table, order: Order, step: int = 1) -> Order:
    """Sort by the next column; after the last one, the table's own order."""
    names: list[str | None] = [None, *(column.name for column in table.columns)]
    at = names.index(order.column) if order.column in names else 0
    return Order(names[(at + step) % len(names)])


def by_column(order: Order, column: str) -> Order:
    """The order after a click on a column's head: by it, then reversed, then the table's own."""
    if order.column != column:
        return Order(column)
    return Order(column, True) if not order.reverse else Order()


def _unknown(cell: Cell) -> bool:
    return cell.value is None and cell.text in ("", "?", "?:?")


def _rank(cell: Cell) -> tuple[int, float, str]:
    value = cell.value if cell.value is not None else cell.text
    return (1, 0.0, value) if isinstance(value, str) else (0, float(value), "")
