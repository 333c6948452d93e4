"""Tables as plain values: cells with a value to sort by, and what each row is about. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import NamedTuple

from common.model.plot_name import with_short_ids


class CellLevel(Enum):
    """How important a row or line is. Words or a mark show it, too, never the colour alone."""

    PLAIN = " "
    QUIET = "."  # disabled, over
    NOTICE = "*"  # held by an operator, or waiting for one
    BAD = "!"  # an operator should act


class RowKind(StrEnum):
    """What a row is about; decides which commands apply to it."""

    JOB = "job"
    TMP = "tmp"
    DST = "dst"
    DRIVE = "drive"
    PLOT = "plot"  # a finished plot's file
    HOST = "host"
    WAIT = "wait"
    CLASS = "class"  # of plots on the drives
    EVENT = "event"


class RowSubject(NamedTuple):
    """What a row is about, the same each time the farm is read.

    what: task id of a job, path of a folder, drive or plot, id of an event; empty for a host.
    """

    kind: RowKind
    host: str
    what: str = ""


class Cell(NamedTuple):
    """value: to sort by, if the text would sort wrong; unknown cells come last in both orders.
    share: filled part of a bar, 0 to 1. reserved: further part that is reserved, 0 to 1.
    tone: its colour, if not its column's: `warm` of a bar that is nearly full, or `phase1` to `phase4`."""

    text: str
    value: float | str | None = None
    share: float | None = None
    reserved: float = 0.0
    tone: str = ""


class Row(NamedTuple):
    """cells: one per column of its table."""

    subject: RowSubject
    cells: tuple[Cell, ...]
    level: CellLevel = CellLevel.PLAIN


@dataclass(frozen=True)
class Column:
    """spare: without enough width, columns with the highest number are left out first; 0: never.
    bar: cells have a share. path: cells hold absolute paths; the title names their common folder once.
    stretch: gets the width that is left, and is shortened first. reason: says why something waits; gets the
    width that it needs, up to half of the table, before spare columns and bars. tone: colour of its cells:
    `id` or `dim`; empty: as text.
    """

    name: str
    right: bool = False
    spare: int = 0
    bar: bool = False
    path: bool = False
    stretch: bool = False
    reason: bool = False
    tone: str = ""

    def full_text(self, cell: Cell) -> str:
        """The text of its cell without any shortening."""
        return str(cell.value) if (self.path or self.reason) and cell.value else cell.text


@dataclass(frozen=True)
class Table:
    """A pane. below: (column, common folder of its paths), for the title. empty: text in place of rows."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...] = ()
    empty: str = "nothing"
    below: tuple[tuple[str, str], ...] = ()


class Line(NamedTuple):
    """A line of the headline or the banner.

    tones: (part of the text, its colour), from left to right, which together are the text; empty: all of the
    text has the colour of its level.
    """

    text: str
    level: CellLevel = CellLevel.PLAIN
    tones: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, *tones: tuple[str, str]) -> Line:
        """Make a line of parts, each with its colour."""
        return cls("".join(text for text, _ in tones), tones=tones)


def shared_folder(paths: Iterable[str]) -> str | None:
    """The common folder of all absolute paths; None if it is the root, or without paths."""
    folders = {posixpath.dirname(path) for path in paths if path.startswith("/")}
    folder = posixpath.commonpath(folders) if folders else "/"
    return None if folder == "/" else folder


def shortened(table: Table) -> Table:
    """The same table with the paths of each path column relative to their common folder, and with 8 digits
    of each plot's id in paths and reasons. Their cells have the whole text as value."""
    below: list[tuple[str, str]] = []
    long = [at for at, column in enumerate(table.columns) if column.path or column.reason]
    rows = tuple(_with_short_ids(row, long) for row in table.rows) if long else table.rows
    for index, column in enumerate(table.columns):
        if not column.path:
            continue
        folder = shared_folder(row.cells[index].text for row in rows)
        if folder is None:
            continue
        below.append((column.name, folder))
        rows = tuple(_below(row, index, folder) for row in rows)
    return Table(table.name, table.title, table.columns, rows, table.empty, tuple(below))


def _with_short_ids(row: Row, columns: Sequence[int]) -> Row:
    """columns: indexes of those with paths or reasons."""
    cells = list(row.cells)
    for at in columns:
        cell = cells[at]
        if cell.text:
            cells[at] = cell._replace(text=with_short_ids(cell.text), value=cell.value or cell.text)
    return row._replace(cells=tuple(cells))


def _below(row: Row, index: int, folder: str) -> Row:
    cell = row.cells[index]
    if not cell.text.startswith(f"{folder}/"):
        return row
    short = cell._replace(text=cell.text[len(folder) + 1 :], value=cell.value or cell.text)
    return row._replace(cells=(*row.cells[:index], short, *row.cells[index + 1 :]))


def without(table: Table, name: str) -> Table:
    """The table without the named column."""
    at = next(index for index, column in enumerate(table.columns) if column.name == name)
    rows = tuple(row._replace(cells=row.cells[:at] + row.cells[at + 1 :]) for row in table.rows)
    columns = table.columns[:at] + table.columns[at + 1 :]
    return Table(table.name, table.title, columns, rows, table.empty, table.below)
