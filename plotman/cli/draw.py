"""Tables on a terminal, fitted to its width; without a terminal, as wide as they need.

A table that fits is laid out here, in a millisecond; Rich takes a tenth of a second for a hundred rows. Rich
folds the cells of a table that does not fit.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Set
from typing import Any

import click

from common.model.text import one_line
from plotman.control.queries.tables import PlainTable

_BETWEEN = 2  # spaces from column to column


def draw(table: PlainTable) -> None:
    """Print the table; nothing if it has no rows."""
    if table.rows:
        click.echo(as_text(table, terminal_width()))


def terminal_width() -> int | None:
    """Columns of the terminal that stdout is; None if it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def as_text(table: PlainTable, width: int | None) -> str:
    """The table's lines, bold heads as ANSI. width: columns of the terminal; None: as wide as needed.

    A table that is too wide first loses its spare columns; then the folder that all its paths share is named
    once, above it; then its cells are folded.
    """
    left_out: set[str] = set()
    for column in table.spare:
        if _fits(table, left_out, width):
            break
        left_out.add(column)
    above = ""
    if not _fits(table, left_out, width) and (folder := table.shared_folder()):
        above = f"Folders below {folder}:\n"
        table = table.below(folder)
    fits = _fits(table, left_out, width)
    return above + (_lines(table, left_out) if fits else _folded(table, left_out, width))


def as_json(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, indent=2))


def _fits(table: PlainTable, left_out: Set[str], width: int | None) -> bool:
    widths = _widths(table, left_out)
    return width is None or sum(widths) + _BETWEEN * (len(widths) - 1) <= width


def _lines(table: PlainTable, left_out: Set[str]) -> str:
    widths = _widths(table, left_out)
    right = [column in table.right for column in _kept(table, left_out)]
    gap = " " * _BETWEEN

    def line(cells: Iterable[str]) -> str:
        padded = (
            _pad(cell, width, to_right) for cell, width, to_right in zip(cells, widths, right, strict=True)
        )
        return gap.join(padded)

    heads = [*([table.title] if table.title else []), line(_kept(table, left_out))]
    rule = "─" * (sum(widths) + _BETWEEN * (len(widths) - 1))
    rows = [line(cells) for cells in _rows(table, left_out)]
    return "\n".join([*(click.style(head, bold=True) for head in heads), rule, *rows])


def _kept(table: PlainTable, left_out: Set[str]) -> list[str]:
    return [column for column in table.columns if column not in left_out]


def _rows(table: PlainTable, left_out: Set[str]) -> list[list[str]]:
    keep = [column not in left_out for column in table.columns]
    # Another machine's words must not act on this terminal.
    return [[one_line(cell) for cell, kept in zip(row, keep, strict=True) if kept] for row in table.rows]


def _widths(table: PlainTable, left_out: Set[str]) -> list[int]:
    return [
        max(map(_width, column))
        for column in zip(_kept(table, left_out), *_rows(table, left_out), strict=True)
    ]


def _width(text: str) -> int:
    """Return the terminal columns that the text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _pad(text: str, width: int, to_right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if to_right else text + space


def _folded(table: PlainTable, left_out: Set[str], width: int | None) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table as Drawn
    from rich.text import Text

    drawn = Drawn(
        title=table.title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for column in _kept(table, left_out):
        right = column in table.right
        drawn.add_column(Text(column), justify="right" if right else "left", overflow="fold", no_wrap=right)
    for row in _rows(table, left_out):
        drawn.add_row(*map(Text, row))
    console = Console(highlight=False, width=width)
    with console.capture() as captured:
        console.print(drawn)
    return captured.get().rstrip("\n")
