"""`plotman pause`, `unpause`, `drain` and `undrain`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from plotman.cli.complete import complete_host, complete_place

if TYPE_CHECKING:
    from plotman.control.holding import Said


def _moment(ctx: click.Context, param: click.Parameter, text: str | None) -> datetime | None:  # noqa: ARG001
    from plotman.control.when import moment

    try:
        return None if text is None else moment(text, datetime.now(UTC))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


_HOST = click.option("--host", help="Only this plotter; else all of the farm.", shell_complete=complete_host)
_REASON = click.option("--reason", metavar="TEXT", help="Why; shown in `plotman status`.")
_UNTIL = click.option(
    "--until",
    metavar="TIME",
    callback=_moment,
    help="When it ends by itself: HH:MM, 'YYYY-MM-DD HH:MM' (the clock of this machine) or +2h. Else: when "
    "somebody says so.",
)
_PLACES = click.argument("places", nargs=-1, required=True, metavar="PLACE...", shell_complete=complete_place)


def _show(said: Sequence[Said]) -> None:
    """Print what was answered; tell on stderr who did not, and exit as that says."""
    from common.errors import PlotmanError

    failed = []
    for one in said:
        if isinstance(one.answer, PlotmanError):
            failed.append(one.answer)
            click.echo(f"plotman: {one.host}: {one.answer}", err=True)
        else:
            click.echo(one.answer)
    if failed:
        sys.exit(failed[0].exit_code)


@click.group()
def pause() -> None:
    """Start no more plots or transfers. Those that run go on."""


@pause.command("plotting")
@_HOST
@click.option(
    "--after", type=click.IntRange(min=0), metavar="N", help="Only after N more plots were started."
)
@_UNTIL
@_REASON
def pause_plotting(host: str | None, after: int | None, until: datetime | None, reason: str | None) -> None:
    """Start no more plots, on one plotter or on all."""
    from plotman.control import holding

    _show(holding.pause("plotting", host, until, reason, after))


@pause.command("archiving")
@_HOST
@_UNTIL
@_REASON
def pause_archiving(host: str | None, until: datetime | None, reason: str | None) -> None:
    """Begin no more transfers, from one plotter or from all. Plots wait where they lie."""
    from plotman.control import holding

    _show(holding.pause("archiving", host, until, reason))


@click.group()
def unpause() -> None:
    """Start plots or transfers again."""


@unpause.command("plotting")
@_HOST
def unpause_plotting(host: str | None) -> None:
    """Start plots as the rules allow, also where plotters died at once and no more were started."""
    from plotman.control import holding

    _show(holding.unpause("plotting", host))


@unpause.command("archiving")
@_HOST
def unpause_archiving(host: str | None) -> None:
    """Send plots as the rules allow."""
    from plotman.control import holding

    _show(holding.unpause("archiving", host))


@click.command()
@_PLACES
@_UNTIL
@_REASON
def drain(places: tuple[str, ...], until: datetime | None, reason: str | None) -> None:
    """Let no more plots come to PLACE; those that are there go on, and leave.

    PLACE is HOST (it starts no plots, its drives take none), HOST:DIR (a tmp, tmp2 or dst directory, or a
    drive), DIR of this machine, or `all`. Survives restarts.
    """
    _drain(places, True, until, reason)


@click.command()
@_PLACES
def undrain(places: tuple[str, ...]) -> None:
    """Take plots again at PLACE: the opposite of `drain`, for the same PLACE."""
    _drain(places, False)


def _drain(
    places: tuple[str, ...], on: bool, until: datetime | None = None, reason: str | None = None
) -> None:
    from plotman.control import holding

    try:
        said = holding.drain(places, on, until, reason)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    _show(said)
