"""What the dashboard shows, as plain values: tables of cells that know how to be sorted, and what each row
stands for. Nothing here knows how it is drawn, or what time it is."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import NamedTuple


class CellLevel(Enum):
    """How much a row or a line wants to be seen. Each is also told by words or a mark, never by colour
    alone."""

    PLAIN = " "
    QUIET = "."  # nothing to see: disabled, drained, over
    NOTICE = "*"  # by somebody's will, or waiting for somebody
    BAD = "!"  # somebody should act


class RowKind(StrEnum):
    """What a row stands for, which says what can be ordered for it."""

    JOB = "job"
    TMP = "tmp"
    DST = "dst"
    DRIVE = "drive"
    PLOT = "plot"  # a finished plot's file
    HOST = "host"
    WAIT = "wait"
    EVENT = "event"
    NOTE = "note"


class RowSubject(NamedTuple):
    """A row's identity, the same from one look at the farm to the next.

    what: task id of a job, path of a folder, drive or plot, id of an event; empty for a host.
    """

    kind: RowKind
    host: str
    what: str = ""


class Cell(NamedTuple):
    """value: to sort by, where the text would sort wrong. None (not known) goes last, either way.
    share: of a bar, 0 to 1. reserved: share of the bar's whole that is spoken for beyond `share`."""

    text: str
    value: float | str | None = None
    share: float | None = None
    reserved: float = 0.0


class Row(NamedTuple):
    """cells: one per column of its table."""

    target: RowSubject
    cells: tuple[Cell, ...]
    level: CellLevel = CellLevel.PLAIN


@dataclass(frozen=True)
class Column:
    """spare: the columns of the highest number go first where there is no room; 0: never.
    bar: cells have a share. path: cells hold absolute paths, of which the common folder is said once.
    stretch: gets the room that is left, and is the first to be shortened where there is too little.
    """

    name: str
    right: bool = False
    spare: int = 0
    bar: bool = False
    path: bool = False
    stretch: bool = False


@dataclass(frozen=True)
class Table:
    """A pane. below: column -> the folder that its paths are in, said once in the title.
    empty: what is said where there are no rows."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...] = ()
    empty: str = "nothing"
    below: tuple[tuple[str, str], ...] = ()


class Line(NamedTuple):
    """A line of the headline or the banner."""

    text: str
    level: CellLevel = CellLevel.PLAIN


@dataclass(frozen=True)
class View:
    """One look at the farm, or at one host of it.

    host: whose; None: all.
    hosts: all that were ever seen, with whether something is wrong there.
    status: plotting, archiving, throughput, phases: a line each.
    notes: what nobody should overlook, the worst first.
    """

    host: str | None
    hosts: tuple[tuple[str, bool], ...]
    status: tuple[Line, ...]
    notes: tuple[Line, ...]
    tables: dict[str, Table]


def shared_folder(paths: Iterable[str]) -> str | None:
    """The folder that all absolute paths are in; None where that is the root, or there are none."""
    folders = {posixpath.dirname(path) for path in paths if path.startswith("/")}
    folder = posixpath.commonpath(folders) if folders else "/"
    return None if folder == "/" else folder


def shortened(table: Table) -> Table:
    """The same table with the paths of each path column told below the folder that they share."""
    below: list[tuple[str, str]] = []
    rows = table.rows
    for index, column in enumerate(table.columns):
        if not column.path:
            continue
        folder = shared_folder(row.cells[index].text for row in rows)
        if folder is None:
            continue
        below.append((column.name, folder))
        rows = tuple(_below(row, index, folder) for row in rows)
    if not below:
        return table
    return Table(table.name, table.title, table.columns, rows, table.empty, tuple(below))


def _below(row: Row, index: int, folder: str) -> Row:
    cell = row.cells[index]
    if not cell.text.startswith(f"{folder}/"):
        return row
    short = cell._replace(text=cell.text[len(folder) + 1 :], value=cell.value or cell.text)
    return row._replace(cells=(*row.cells[:index], short, *row.cells[index + 1 :]))


def printable(text: str) -> str:
    """Fit for a terminal: paths and logs of others may hold control characters, which would act there."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else " " if char.isspace() else "?" for char in text)


def without(table: Table, name: str) -> Table:
    """The table without the column of that name."""
    at = next(index for index, column in enumerate(table.columns) if column.name == name)
    rows = tuple(row._replace(cells=row.cells[:at] + row.cells[at + 1 :]) for row in table.rows)
    columns = table.columns[:at] + table.columns[at + 1 :]
    return Table(table.name, table.title, columns, rows, table.empty, table.below)
