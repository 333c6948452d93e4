"""Tables on a terminal: as wide as it is, or as wide as they need to be where there is none."""

from __future__ import annotations

import json
import sys
from collections.abc import Set
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as Drawn
from rich.text import Text

from plotman.control.tables import Table

_UNBOUNDED = 10_000


def draw(table: Table) -> None:
    """Print the table; nothing where it has no rows. On a narrow terminal its spare columns are left out,
    and then the folder that all its paths share is said once."""
    if not table.rows:
        return
    console = Console(width=None if sys.stdout.isatty() else _UNBOUNDED, highlight=False)
    left_out: set[str] = set()
    for column in table.spare:
        if _width(console, _drawn(table, left_out)) <= console.width:
            break
        left_out.add(column)
    if _width(console, _drawn(table, left_out)) > console.width and (folder := table.shared_folder()):
        console.print(Text(f"Folders below {folder}:"))
        table = table.below(folder)
    console.print(_drawn(table, left_out))


def _width(console: Console, drawn: Drawn) -> int:
    """How wide the table would like to be."""
    return Measurement.get(console, console.options.update(width=_UNBOUNDED), drawn).maximum


def _drawn(table: Table, left_out: Set[str]) -> Drawn:
    drawn = Drawn(
        title=table.title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for column in table.columns:
        if column not in left_out:
            right = column in table.right
            drawn.add_column(
                Text(column), justify="right" if right else "left", overflow="fold", no_wrap=right
            )
    for row in table.rows:
        cells = zip(table.columns, row, strict=True)
        drawn.add_row(*(Text(cell) for column, cell in cells if column not in left_out))
    return drawn


def as_json(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, indent=2))
