"""What verbs share: options, questions, answers of several hosts, and tables fitted to the terminal.

A table that fits is laid out here, in a millisecond; Rich takes a tenth of a second for a hundred rows. Rich
folds the cells of a table that does not fit.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from common.model.text import one_line

if TYPE_CHECKING:
    from plotman.control.queries.tables import PlainTable

JSON = click.option("--json", "json_", is_flag=True, help="Print JSON, for programs.")
_GAP = "  "  # between two columns


def parsed(parse: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    """Make a callback that parses a value. parse: raises ValueError with a sentence."""

    def callback(_ctx: click.Context, _param: click.Parameter, text: str | None) -> Any:
        try:
            return None if text is None else parse(text)
        except ValueError as error:
            raise click.BadParameter(one_line(str(error))) from error

    return callback


def stop_at_signal() -> threading.Event:
    """Return an event that SIGINT and SIGTERM set from now on."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def must_agree(question: str, otherwise: str) -> None:
    """Ask a question, and exit if the answer is no. Raises click.UsageError without a terminal.

    otherwise: for that error: the option that confirms.
    """
    from common.errors import ExitCode

    if not sys.stdin.isatty():
        raise click.UsageError(f"There is no terminal to ask. {otherwise}")
    if not click.confirm(question, err=True):
        click.echo("Nothing was done.", err=True)
        sys.exit(ExitCode.FAILED)


def show_answers(
    answers: Iterable[tuple[object, Any]],
    document: dict[str, Any] | None,
    show: Callable[[Any, Any], None] = lambda _, answer: click.echo(answer),
) -> None:
    """Print the answers of hosts, and errors on stderr; exit with the code of the first error.

    answers: (host or plot, its answer or a PlotmanError). document: printed as JSON in place of the answers.
    show: prints the answer of a host or plot.
    """
    from common.errors import PlotmanError

    if document is not None:
        as_json(document)
    failed = []
    for who, answer in answers:
        if isinstance(answer, PlotmanError):
            failed.append(answer)
            click.echo(f"plotman: {who}: {answer}", err=True)
        elif document is None:
            show(who, answer)
    if failed:
        sys.exit(failed[0].exit_code)


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
    for column in table.spare:
        if _fits(table, width):
            break
        table = table.without(column)
    above = ""
    if not _fits(table, width) and (folder := table.shared_folder()):
        above = f"Folders below {folder}:\n"
        table = table.below(folder)
    return above + (_lines(table) if _fits(table, width) else _folded(table, width))


def as_json(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, indent=2))


def _fits(table: PlainTable, width: int | None) -> bool:
    return width is None or len(_rule(_widths(table))) <= width


def _rule(widths: list[int]) -> str:
    return "─" * (sum(widths) + len(_GAP) * (len(widths) - 1))


def _lines(table: PlainTable) -> str:
    widths = _widths(table)

    def line(cells: Iterable[str]) -> str:
        padded = []
        for column, cell, width in zip(table.columns, cells, widths, strict=True):
            space = " " * (width - _width(cell))
            padded.append(space + cell if column in table.right else cell + space)
        return _GAP.join(padded)

    heads = [*([table.title] if table.title else []), line(table.columns)]
    return "\n".join(
        [*(click.style(head, bold=True) for head in heads), _rule(widths), *map(line, _rows(table))]
    )


def _rows(table: PlainTable) -> list[list[str]]:
    # Another machine's words must not act on this terminal.
    return [list(map(one_line, row)) for row in table.rows]


def _widths(table: PlainTable) -> list[int]:
    return [max(map(_width, column)) for column in zip(table.columns, *_rows(table), strict=True)]


def _width(text: str) -> int:
    """Return the terminal columns that the text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _folded(table: PlainTable, width: int | None) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table as Drawn
    from rich.text import Text

    drawn = Drawn(
        title=table.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_edge=False,
        pad_edge=False, padding=(0, 1, 0, 0),
    )  # fmt: skip
    for column in table.columns:
        right = column in table.right
        drawn.add_column(Text(column), justify="right" if right else "left", overflow="fold", no_wrap=right)
    for row in _rows(table):
        drawn.add_row(*map(Text, row))
    console = Console(highlight=False, width=width)
    with console.capture() as captured:
        console.print(drawn)
    return captured.get().rstrip("\n")
