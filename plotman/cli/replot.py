"""`plotman replot`: plan which old plots are replaced by new ones."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from common.errors import ExitCode
from plotman.cli.completion import complete_harvester
from plotman.cli.console import JSON, as_json, draw

if TYPE_CHECKING:
    from common.config.sections.replot import Replot
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


@click.group()
def replot() -> None:
    """Plan which old plots are replaced by new ones. Deletes nothing."""


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
    "\n\nDeletes nothing, and orders nothing: plotman has no verb that deletes old plots. The section replot "
    "of plotman.yaml on this machine names the classes of plots; without it, this shows how to write one. A "
    "plot belongs to a class by its header, whatever its name.",
)
@click.option("--host", help="Only this harvester.", shell_complete=complete_harvester)
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
@click.option(
    "--tb-per-day",
    type=click.FloatRange(1e-6, 1e6),
    help="New plots per day, in TB. Default: as archived or made in the last 7 days.",
)
@click.option(
    "--height",
    type=click.IntRange(1, 100_000_000),
    help="Height of the network now, as `chia show -s` prints it. Default: the full node's "
    "(replot.chia_root), else reckoned from a known date.",
)
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


def _section() -> Replot | None:
    from plotman.control.farm import settings

    return settings("replot").replot


def _print(answer: PlanAnswer) -> None:
    from common.model.text import one_line
    from plotman.control.queries.replot import sentences, tables
    from plotman.control.queries.replot.chart import chart_lines

    click.echo("This is a plan: nothing is deleted, and plotman has no verb that deletes old plots.\n")
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
