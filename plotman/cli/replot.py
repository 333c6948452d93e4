"""`plotman replot`: plan which old plots are replaced by new ones, and have it done."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from common.errors import ExitCode
from plotman.cli.completion import complete_harvester
from plotman.cli.console import JSON, as_json, as_text, draw, must_agree, show_sentences, terminal_width

if TYPE_CHECKING:
    from common.config.sections.replot import Replot
    from plotman.control.actions.replot import ReplotStart
    from plotman.control.farm import FarmState
    from plotman.control.queries.replot.plan import PlanAnswer

_TB = 10**12
_EXAMPLES = """
\b
plotman replot plan                          all classes, in their order
plotman replot plan --classes og             only the class og of plotman.yaml
plotman replot plan --host farm1 --first 5   the first five plots on each drive of a machine
plotman replot plan --tb-per-day 10          when it would be done at another pace
"""
_START_EXAMPLES = """
\b
plotman replot start                         all classes; asks for the name of each
plotman replot start --class og --host h1    only one class, on one machine
plotman replot start --class og --yes        without asking, as for scripts
"""
_HOST = click.option("--host", help="Only this harvester.", shell_complete=complete_harvester)
_TB_PER_DAY = click.option(
    "--tb-per-day",
    type=click.FloatRange(1e-6, 1e6),
    help="New plots per day, in TB. Default: as archived or made in the last 7 days.",
)
_HEIGHT = click.option(
    "--height",
    type=click.IntRange(1, 100_000_000),
    help="Height of the network now, as `chia show -s` prints it. Default: the full node's "
    "(replot.chia_root), else computed from a known date.",
)


@click.group()
def replot() -> None:
    """Replace old plots by new ones: first the plan, which deletes nothing, then `start`."""


def _complete_class(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the classes of plotman.yaml; after a comma the next one."""
    import logging

    from common.errors import PlotmanError

    logging.disable()
    try:
        section = _section()
    except (PlotmanError, OSError):
        return []
    before, comma, last = incomplete.rpartition(",")
    names = section.classes if section else ()
    return [CompletionItem(f"{before}{comma}{name}") for name in names if name.startswith(last)]


def _names(_ctx: click.Context, _param: click.Parameter, text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


@replot.command(
    epilog=_EXAMPLES,
    help="Show which old plots would be replaced by new ones, in which order and when, and what stays and "
    "why."
    "\n\nDeletes nothing, and orders nothing. The section replot of plotman.yaml on this machine names the "
    "classes of plots; without it, this shows how to write one. A plot belongs to a class by its header, not "
    "by its name.",
)
@_HOST
@click.option(
    "--classes",
    metavar="NAME[,NAME]",
    callback=_names,
    help="Only these classes of plotman.yaml.",
    shell_complete=_complete_class,
)
@click.option(
    "--first",
    type=click.IntRange(0, 100),
    default=2,
    show_default=True,
    help="How many plots to list of each drive.",
)
@click.option(
    "--drives",
    type=click.IntRange(0, 100_000),
    default=10,
    show_default=True,
    help="Of how many drives to list the first plots.",
)
@_TB_PER_DAY
@_HEIGHT
@JSON
def plan(
    host: str | None,
    classes: tuple[str, ...],
    first: int,
    drives: int,
    tb_per_day: float | None,
    height: int | None,
    json_: bool,
) -> None:
    from plotman.control.farm import quick_board, read_farm
    from plotman.control.queries.replot.document import as_dict
    from plotman.control.queries.replot.plan import PlanLimits, ask

    section = _section()
    farm = read_farm(quick_board())
    if section is None or not section.classes:
        _explain(farm, json_)
        return
    rate_bytes = None if tb_per_day is None else tb_per_day * _TB
    limits = PlanLimits(
        host=host, classes=classes, first=first, drives=drives, rate_bytes=rate_bytes, height=height
    )
    answer = ask(section, farm, limits)
    if json_:
        as_json(as_dict(answer))
    else:
        _print(answer)
    if answer.missing:
        sys.exit(ExitCode.UNREACHABLE if not answer.hosts else ExitCode.FAILED)


@replot.command(
    epilog=_START_EXAMPLES,
    help="Have old plots deleted, one after the other, as new plots take their place."
    "\n\nShows what would be deleted, and wants the name of each class typed: a deleted plot cannot be "
    "restored. Each harvester with harvester.replot: true and such plots gets an order, which survives "
    "restarts. It deletes an old plot only after as many bytes of new plots have arrived there and were "
    "proved. An order takes the place of an earlier one.",
)
@click.option(
    "--class",
    "classes",
    multiple=True,
    metavar="NAME",
    help="Only this class of plotman.yaml; may be repeated.",
    shell_complete=_complete_class,
)
@_HOST
@_TB_PER_DAY
@_HEIGHT
@click.option("--reason", metavar="TEXT", help="Why; shown in `plotman replot status`.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask. Each class must be named with --class.")
@JSON
def start(
    classes: tuple[str, ...],
    host: str | None,
    tb_per_day: float | None,
    height: int | None,
    reason: str | None,
    yes: bool,
    json_: bool,
) -> None:
    from plotman.control.actions import replot as replotting
    from plotman.control.queries.replot.plan import PlanLimits

    section = _section()
    if section is None or not section.classes:
        raise replotting.NothingToReplot(
            "plotman.yaml names no classes of old plots (section replot), so every plot stays.",
            "`plotman replot plan` shows how to write them.",
        )
    if yes and not classes:
        named = " ".join(f"--class {name}" for name in section.classes)
        raise click.UsageError(f"--yes needs each class that may be deleted, for example {named}.")
    rate_bytes = None if tb_per_day is None else tb_per_day * _TB
    limits = PlanLimits(
        host=host, classes=tuple(dict.fromkeys(classes)), rate_bytes=rate_bytes, height=height
    )
    planned = replotting.plan(section, limits, reason)
    _show_start(planned)
    if not yes:
        _must_type_names(planned)
    show_sentences(replotting.start(planned), json_, classes=planned.class_dicts())


def _show_start(planned: ReplotStart) -> None:
    from common.model.text import one_line

    click.echo(as_text(planned.table(), terminal_width()), err=True)
    click.echo(err=True)
    for line in planned.lines():
        click.echo(one_line(line), err=True)


def _must_type_names(planned: ReplotStart) -> None:
    """Exit unless the operator types the name of each class."""
    from common.model.units import counted, human_bytes

    if not sys.stdin.isatty():
        raise click.UsageError(
            "There is no terminal to ask. With --yes, and --class for each class, it begins without asking."
        )
    for one in planned.classes:
        what = f"{counted(one.plan.plots, 'plot')} ({human_bytes(one.plan.bytes)})"
        question = f"Type {one.name} to have its {what} deleted"
        if click.prompt(question, default="", show_default=False, err=True).strip() != one.name:
            click.echo("Nothing was ordered, and nothing is deleted.", err=True)
            sys.exit(ExitCode.FAILED)


@replot.command()
@_HOST
@JSON
def status(host: str | None, json_: bool) -> None:
    """Show how many old plots are left, what has arrived in their place, and what is waited for."""
    from common.model.text import one_line
    from plotman.control.farm import quick_board, read_farm
    from plotman.control.queries.replot.progress import status_dict, status_sentences, status_table

    farm = read_farm(quick_board())
    if json_:
        as_json(status_dict(farm, host))
        return
    table = status_table(farm, host)
    draw(table)
    sentences = [one_line(sentence) for sentence in status_sentences(farm, host)]
    if table.rows:
        click.echo()
    click.echo(
        "\n".join(sentences or ["No harvester has an order to replace old plots: nothing is deleted."])
    )


@replot.command()
@_HOST
@click.option("--reason", metavar="TEXT", help="Why; shown in `plotman replot status`.")
@JSON
def pause(host: str | None, reason: str | None, json_: bool) -> None:
    """Delete no more old plots for now. New plots that arrive still count for later."""
    from plotman.control.actions import replot as replotting

    show_sentences(replotting.pause(host, reason), json_)


@replot.command()
@_HOST
@JSON
def resume(host: str | None, json_: bool) -> None:
    """End a pause."""
    from plotman.control.actions import replot as replotting

    show_sentences(replotting.resume(host), json_)


@replot.command()
@_HOST
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@JSON
def stop(host: str | None, yes: bool, json_: bool) -> None:
    """End the orders: no more old plots are deleted, and new ones that arrived count for none."""
    from plotman.control.actions import replot as replotting

    orders = replotting.with_orders(host)
    if not yes:
        must_agree(f"End the order of {', '.join(orders.hosts)}?", "With --yes it ends without asking.")
    show_sentences(replotting.stop(orders), json_)


def _section() -> Replot | None:
    from plotman.control.farm import settings

    return settings("replot").replot


def _print(answer: PlanAnswer) -> None:
    from common.model.text import one_line
    from plotman.control.queries.replot import sentences, tables
    from plotman.control.queries.replot.chart import chart_lines

    click.echo("This is a plan: it deletes nothing, and orders nothing.\n")
    if answer.progress:
        click.echo(f"{answer.progress}: see plotman replot status.\n")
    draw(tables.classes_table(answer))
    click.echo()
    for sentence in sentences.sentences(answer):
        click.echo(one_line(sentence))
    chart = list(chart_lines(answer))
    if chart:
        click.echo()
        for line in chart:
            click.echo(line)
    for table in (tables.first_table(answer), tables.kept_table(answer)):
        if table.rows:
            click.echo()
            draw(table)
    for sentence in sentences.remarks(answer):
        click.echo(one_line(sentence), err=True)


def _explain(farm: FarmState, json_: bool) -> None:
    """How to write the section `replot`, with what the harvesters have."""
    from common import config
    from common.model.text import one_line
    from plotman.control.queries.inventory import by_snapshots
    from plotman.control.queries.replot.example import example
    from plotman.control.queries.replot.plan import groups, hosts_that_keep
    from plotman.control.queries.replot.sentences import switch

    text = example(groups(by_snapshots(farm).parts))
    if json_:
        as_json({"version": 1, "configured": False, "example": text})
        return
    click.echo(
        f"{config.default_path()} names no classes of old plots (section replot): every plot stays.\n\n"
        "To see what replacing would mean, paste this there, remove the # of the classes that may be "
        "replaced, name them as you like, and put them into the order in which they go. Nothing is "
        "deleted by that.\n"
    )
    click.echo(text)
    if keeping := hosts_that_keep(farm):
        click.echo(one_line(switch(keeping)))
