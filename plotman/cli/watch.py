"""`plotman status`, `dirs`, `dsched`, `why` and `interactive`: verbs that only look."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import groupby, zip_longest
from shutil import get_terminal_size
from textwrap import wrap
from typing import TYPE_CHECKING

import click

from plotman.cli.completion import complete_host, complete_subject
from plotman.cli.console import JSON

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from plotman.control.farm import FarmState
    from plotman.control.queries.attention import Need
    from plotman.control.queries.why import WhyAnswer

_AGAIN_S = 5.0
_MOST_ROWS = 30  # of a list of `status` on a terminal
_SEARCHED = 5000  # transfers, the newest, in the search for an archived plot
_HOST = click.option("--host", help="Only this host.", shell_complete=complete_host)
_CLASSIC = click.option(
    "--classic", is_flag=True, help="Use the column names and units of plotman 0.5.3, for scripts."
)


@click.command()
@_HOST
@_CLASSIC
@click.option("--all", "is_all", is_flag=True, help="Show all rows, also on a terminal.")
@click.option("--watch", "is_watching", is_flag=True, help="Show it anew every 5 s, until Ctrl-C.")
@JSON
def status(json_: bool, host: str | None, classic: bool, is_all: bool, is_watching: bool) -> None:
    """Show how plotting and archiving are, what needs a hand, running plots, and transfers.

    On a terminal, a list has at most 30 rows, first what needs a hand; --all shows the others.
    """
    from plotman.cli.console import as_json, terminal_width
    from plotman.control.queries.reports import status_json

    if is_watching:
        if json_:
            raise click.UsageError("--watch prints no JSON.")
        _watch(host, classic, is_all)
        return
    farm = _farm(host)
    if json_:
        as_json(status_json(farm))
    else:
        click.echo(status_text(farm, terminal_width(), classic, is_all))


def _watch(host: str | None, classic: bool, is_all: bool) -> None:
    """Print the status again and again; on a terminal in the place of the former one, as far as it fits."""
    from common.errors import BrokerError
    from common.system.output import clear_screen
    from plotman.cli.console import stop_at_signal, terminal_width
    from plotman.control.farm import narrowed, quick_board, read_farm

    stop = stop_at_signal()
    while not stop.is_set():
        width = terminal_width()
        try:
            with closing(quick_board()) as reader:
                text = status_text(narrowed(read_farm(reader), host), width, classic, is_all)
        except BrokerError as error:  # it may come back
            text = f"plotman: {error}"
        if width is not None:
            text = _cut(text, width, get_terminal_size().lines - 1)
            clear_screen()
        click.echo(text)
        stop.wait(_AGAIN_S)


def _cut(text: str, width: int, rows: int) -> str:
    """The first lines that fit into the rows of a terminal; the last one says how many more there are."""
    from common.model.units import counted

    lines, taken = text.splitlines(), 0
    for number, line in enumerate(lines):
        taken += max(1, -(-len(click.unstyle(line)) // width))
        if taken > rows:
            kept = lines[: max(0, number - 1)]
            return "\n".join((*kept, f"... {counted(len(lines) - len(kept), 'line')} more"))
    return text


def status_text(farm: FarmState, width: int | None, classic: bool = False, is_all: bool = True) -> str:
    """Format the output of `plotman status`.

    Args:
        width: columns of the terminal; None: as wide as needed, and with all rows.
        classic: as plotman 0.5.3 did, with all rows.
        is_all: with all rows.
    """
    from plotman.cli.console import as_text
    from plotman.control.queries import tables

    most = None if is_all or classic or width is None else _MOST_ROWS
    shown = [
        tables.jobs_table(farm, classic, urgent_first=most is not None),
        tables.moves_table(farm, classic),
    ]
    if classic:
        lines = _notes(farm)
        shown += [tables.plots_table(farm), tables.waits_table(farm)]
    else:
        lines = _attention_lines(farm, width, most)
    for table in shown:
        if rows := table.rows:
            lines += [as_text(replace(table, rows=rows[:most]), width), *_left_out(len(rows), most), ""]
    if classic:
        lines.append(f"Total jobs: {len(farm.jobs())}")
        lines += [
            f"Jobs in {tmp} on {host}: {count}"
            for host, tmp, count in tables.jobs_per_tmp(farm.plotters.values())
        ]
    lines.append(f"Updated at: {farm.at.astimezone():%Y-%m-%d %H:%M:%S}")
    return "\n".join(lines)


def _left_out(count: int, most: int | None) -> list[str]:
    """A line on the rows of a list beyond `most`; None: nothing is left out."""
    more = 0 if most is None else count - most
    return [click.style(f"... and {more} more: --all", dim=True)] if more > 0 else []


def _attention_lines(farm: FarmState, width: int | None, most: int | None) -> list[str]:
    """What is wrong with the farm as a whole; how it is; what needs a hand; and what operators asked for.
    most: needs in a list; None: all."""
    from beat.policy.remedies import Harm
    from plotman.control.queries.attention import attention, calm_lines

    listed = attention(farm)
    of_hosts = [need for need in listed if need.host]
    parts = {
        "Needs a hand": [need for need in of_hosts if need.harm > Harm.WANTED],
        "Asked for by operators": [need for need in of_hosts if need.harm is Harm.WANTED],
    }
    lines = [*_marked(need.text for need in listed if not need.host), *calm_lines(farm), ""]
    for title, needed in parts.items():
        if needed:
            lines += [click.style(title, bold=True), *_need_lines(needed[:most], width)]
            lines += [*_left_out(len(needed), most), ""]
    return lines


def _need_lines(needed: Iterable[Need], width: int | None) -> Iterator[str]:
    from common.model.text import one_line  # late: another machine's words must not act on this terminal

    def folded(text: str, indent: str) -> Iterator[str]:
        if width is None:
            yield indent + text
            return
        # Words stay whole, so that commands and paths can be pasted.
        yield from wrap(
            text, width, initial_indent=indent, subsequent_indent=f"{indent}  ",
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip

    for need in needed:
        yield from folded(one_line(need.text), "  ")
        if need.remedy:
            yield from (click.style(line, dim=True) for line in folded(one_line(need.remedy), "      "))


@click.command()
@_HOST
@_CLASSIC
@JSON
def dirs(json_: bool, host: str | None, classic: bool) -> None:
    """Show the tmp, dst and archive directories: free space, state, and incoming plots."""
    from plotman.cli.console import as_json, draw
    from plotman.control.queries import reports, tables

    farm = _farm(host)
    if json_:
        as_json(reports.dirs_json(farm))
        return
    for note in _notes(farm):
        click.echo(note)
    for make in (tables.tmp_table, tables.dst_table, tables.drives_table):
        if (table := make(farm, classic)).rows:
            draw(table)
            click.echo()
    for line in reports.transport_lines(farm):
        click.echo(line)


@click.command()
@_HOST
@JSON
def dsched(json_: bool, host: str | None) -> None:
    """Show the dst directories: the phases of the plots that go there, and where the next plots would go.

    `next from` names the tmp directories from which a plot that started now would go to this one.
    """
    from plotman.cli.console import as_json, draw
    from plotman.control.queries.schedule import dsched_json, dsched_table

    farm = _farm(host)
    if json_:
        as_json(dsched_json(farm))
    else:
        draw(dsched_table(farm))


def _farm(host: str | None) -> FarmState:
    from plotman.control.farm import narrowed, quick_board
    from plotman.control.local import read_with_own

    return narrowed(read_with_own(quick_board), host)


def _notes(farm: FarmState) -> list[str]:
    from plotman.control.queries.reports import notes

    return _marked(notes(farm))


def _marked(notes: Iterable[str]) -> list[str]:
    from common.model.text import one_line

    return [click.style(one_line(f"! {note}"), fg="yellow") for note in notes]


@click.command()
@click.argument("subject", required=False, metavar="[HOST|DIR|PLOT]", shell_complete=complete_subject)
@JSON
def why(subject: str | None, json_: bool) -> None:
    """Explain why no plot starts or moves now, until when, and what to do about it.

    For the whole farm, or for one host, directory, drive or plot (its path, file name or the start of its
    id). This also works while no scheduler runs: then its rules are applied here.
    """
    from plotman.cli.console import as_json
    from plotman.control.farm import board
    from plotman.control.queries import why as query
    from plotman.control.queries.attention import calm_lines
    from plotman.control.queries.explain import explain
    from plotman.control.queries.misnamed import with_copies

    seen = query.picture(board(), query.limits_here())
    try:
        answers = with_copies(seen.farm, query.about(explain(seen), subject))
    except query.NoSuchSubject as error:
        answers = _archived(subject or "")
        if not answers:
            raise error from None
    if json_:
        as_json(query.as_dict(seen, answers))
        return
    for first in query.headings(seen):
        click.secho(f"! {first}", fg="yellow")
    if subject is None:
        for line in calm_lines(seen.farm):
            click.echo(line)
    if not answers:
        click.echo("No host is on the notice board: start `plotman up`.")
    show_reasons(answers)


def _archived(subject: str) -> list[WhyAnswer]:
    """Search the history for a plot. Only for what looks like one: the hosts are asked."""
    from common.errors import PlotmanError
    from common.history.rows import HistoryKind, TransferEnd
    from common.model.plot_name import is_selector_of_file
    from plotman.control.queries.history import gather
    from plotman.control.queries.why import archived

    if not is_selector_of_file(subject):
        return []
    try:
        rows = gather(HistoryKind.TRANSFERS, most=_SEARCHED).rows
    except PlotmanError:
        return []
    return archived([row for row in rows if isinstance(row, TransferEnd)], subject)


def show_reasons(answers: Sequence[WhyAnswer]) -> None:
    """Print what `plotman why` found, by host."""
    from common.model.plot_name import with_short_parts
    from common.model.text import one_line  # late: another machine's words must not act on this terminal

    def host_of(answer: WhyAnswer) -> str:
        return answer.host

    for host, of_host in groupby(sorted(answers, key=host_of), key=host_of):
        click.secho(host, bold=True)
        host_shown = False
        listed = list(of_host)
        for answer, after in zip_longest(listed, listed[1:]):
            subject = f"{answer.subject}: " if answer.subject else ""
            if host_shown and answer.below_host:
                click.echo(one_line(f"  {subject}{answer.below_host}"))
                continue
            host_shown = host_shown or answer.kind == "host"
            when = f" ({answer.when})" if answer.when else ""
            click.echo(one_line(f"  {subject}{with_short_parts(answer.text)}{when}"))
            repeats = after is not None and not (host_shown and after.below_host)
            # Once for drives that are alike, below the last one.
            if answer.remedy and not (repeats and after and after.remedy == answer.remedy):
                click.secho(one_line(f"      {answer.remedy}"), dim=True)


@click.command()
@click.option(
    "--web",
    metavar="[ADDRESS:]PORT",
    help="Show it in browsers at http://ADDRESS:PORT instead of in this terminal. Other machines need "
    "farm.flower_auth, and log in with it.",
)
def interactive(web: str | None) -> None:
    """Show the farm live, and control it by keys and mouse. Closing it stops nothing.

    ? shows the keys. Needs at least 40 columns and 10 lines.
    """
    from plotman.control.farm import board, settings

    here = settings()  # shows mistakes in plotman.yaml before the screen is used
    if web is not None:
        from common.model.address import listen_at
        from plotman.dashboard.web import serve

        serve(here, *listen_at(web))
        return
    # Textual reads keys from stdin and draws on stderr.
    streams = {"stdin": sys.stdin, "stderr": sys.stderr}
    redirected = [name for name, stream in streams.items() if not stream.isatty()]
    if redirected and "TEXTUAL_DRIVER" not in os.environ:
        raise click.UsageError(
            f"It needs a terminal on {' and '.join(redirected)}: do not redirect. "
            "`plotman status` prints; --web shows it in a browser."
        )

    from common.store.connection import TIMEOUT_S
    from plotman.control.actions.holds import requester
    from plotman.control.rpc import ask_each
    from plotman.dashboard.app import Dashboard
    from plotman.dashboard.feed import BoardSource
    from plotman.dashboard.theme_choice import remember, remembered

    # It looks for hours, and keeps showing what it saw while Redis is slow.
    theme = remembered()
    dashboard = Dashboard(BoardSource(partial(board, TIMEOUT_S)), ask_each, requester(), theme)

    def leave(number: int, _frame: object) -> None:
        dashboard.exit(return_code=128 + number)  # as shells report it

    for number in (signal.SIGTERM, signal.SIGHUP):  # else the terminal would be left without echo
        signal.signal(number, leave)
    dashboard.run()
    if dashboard.theme != theme.name:  # not at each key: a busy disk would keep the screen waiting
        remember(dashboard.theme)
    sys.exit(dashboard.return_code or 0)
