"""Tables on a terminal: as wide as it is, or as wide as they need to be where there is none."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table as Drawn
from rich.text import Text

from plotman.control.tables import Table

_UNBOUNDED = 10_000


def draw(table: Table) -> None:
    """Print the table; nothing where it has no rows."""
    if not table.rows:
        return
    console = Console(width=None if sys.stdout.isatty() else _UNBOUNDED, highlight=False)
    drawn = Drawn(
        title=table.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for column in table.columns:
        right = column in table.right
        drawn.add_column(Text(column), justify="right" if right else "left", overflow="fold", no_wrap=right)
    for row in table.rows:
        drawn.add_row(*(Text(cell) for cell in row))
    console.print(drawn)


def as_json(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, indent=2))
