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
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from common.model.text import one_line

if TYPE_CHECKING:
    from plotman.control.actions.holds import HoldAnswers
    from plotman.control.queries.tables import PlainTable

JSON = click.option("--json", "json_", is_flag=True, help="Print JSON, for programs.")
_GAP = "  "  # between two columns
_BAR = 8  # characters
_FULL, _EMPTY = "━", "─"
# Whole cells, so that no word in a path or reason is coloured.
_COLORS = {
    **dict.fromkeys(("OK", "active"), "green"),
    **dict.fromkeys(("--", "STP", "silent", "stopped", "draining", "drained", "full"), "yellow"),
    **dict.fromkeys(("not mounted", "missing", "read-only", "hanging", "refused", "failed"), "red"),
}


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


def show_sentences(answers: Sequence[HoldAnswers], json_: bool, **more: Any) -> None:
    """Print the sentences of hosts as `show_answers`. more: further keys of the JSON."""
    listed = [
        {
            "host": one.host,
            "answer": one.answer if isinstance(one.answer, str) else None,
            "error": None if isinstance(one.answer, str) else str(one.answer),
            **one.more,
        }
        for one in answers
    ]
    document = {"version": 1, **more, "answers": listed} if json_ else None
    show_answers([(one.host, one.answer) for one in answers], document)


def draw(table: PlainTable) -> None:
    """Print the table; nothing if it has no rows."""
    if table.rows:
        click.echo(as_text(table, terminal_width()))


def terminal_width() -> int | None:
    """Columns of the terminal that stdout is; None if it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def as_text(table: PlainTable, width: int | None) -> str:
    """The table's lines, bold heads as ANSI. width: columns of the terminal; None: as wide as needed.

    On a terminal, the folder that all its paths share is named once, above it, and percents are bars. A table
    that is too wide loses its spare columns, then the bars; then its cells are folded.
    """
    if width is None:
        return _lines(table)
    above = ""
    if folder := table.shared_folder():
        above = f"Folders below {folder}:\n"
        table = table.below(folder)
    for column in table.spare:
        if _fits(table, width, bars=True):
            break
        table = table.without(column)
    if _fits(table, width, bars=True):
        return above + _lines(table, bars=True)
    return above + (_lines(table) if _fits(table, width) else _folded(table, width))


def as_json(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, indent=2))


def _fits(table: PlainTable, width: int, bars: bool = False) -> bool:
    return len(_rule(_widths(table, bars))) <= width


def _rule(widths: list[int]) -> str:
    return "─" * (sum(widths) + len(_GAP) * (len(widths) - 1))


def _lines(table: PlainTable, bars: bool = False) -> str:
    widths = _widths(table, bars)

    def line(cells: Iterable[str], colored: bool = True) -> str:
        padded = []
        for column, cell, width in zip(table.columns, cells, widths, strict=True):
            space = " " * (width - _width(cell))
            shown = click.style(cell, fg=color) if colored and (color := _COLORS.get(cell)) else cell
            if colored and bars and column in table.bars:
                shown = _colored_bar(cell)
            padded.append(space + shown if column in table.right else shown + space)
        return _GAP.join(padded)

    heads = [*([table.title] if table.title else []), line(table.columns, colored=False)]
    rows = [line(row) for row in _rows(table, bars)]
    return "\n".join([*(click.style(head, bold=True) for head in heads), _rule(widths), *rows])


def _rows(table: PlainTable, bars: bool = False) -> list[list[str]]:
    # Another machine's words must not act on this terminal.
    rows = [list(map(one_line, row)) for row in table.rows]
    if not bars:
        return rows
    drawn = [column in table.bars for column in table.columns]
    return [[_bar(cell) if is_bar else cell for cell, is_bar in zip(row, drawn, strict=True)] for row in rows]


def _bar(percent: str) -> str:
    """`━━━━────  43`: a bar for a text of a percent; any other text stays."""
    if not percent.isdecimal():
        return percent
    done = min(_BAR, int(percent) * _BAR // 100)
    return f"{_FULL * done}{_EMPTY * (_BAR - done)} {percent:>3}"


def _colored_bar(text: str) -> str:
    done, rest = text.count(_FULL), text.count(_EMPTY)
    bar = click.style(_FULL * done, fg="green") + click.style(_EMPTY * rest, dim=True)
    return bar + text[done + rest :] if done + rest else text


def _widths(table: PlainTable, bars: bool = False) -> list[int]:
    return [max(map(_width, column)) for column in zip(table.columns, *_rows(table, bars), strict=True)]


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
