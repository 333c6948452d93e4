"""`plotman pause`, `unpause`, `drain` and `undrain`."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from plotman.cli.candidates import complete_host, complete_place
from plotman.cli.confirm import JSON, show


def _moment(ctx: click.Context, param: click.Parameter, text: str | None) -> datetime | None:  # noqa: ARG001
    from plotman.control.arguments import moment

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
    help="When it ends by itself: HH:MM, 'YYYY-MM-DD HH:MM' (this machine's local time) or +2h. Default: "
    "until you undo it.",
)
_PLACES = click.argument("places", nargs=-1, required=True, metavar="PLACE...", shell_complete=complete_place)


@click.group()
def pause() -> None:
    """Start no more plots or transfers. Running ones continue."""


@pause.command("plotting")
@_HOST
@click.option("--after", type=click.IntRange(min=0), metavar="N", help="Start N more plots first.")
@_UNTIL
@_REASON
@JSON
def pause_plotting(
    host: str | None, after: int | None, until: datetime | None, reason: str | None, json_: bool
) -> None:
    """Start no more plots, on one plotter or on all."""
    from plotman.control.actions import holds

    show(holds.pause("plotting", host, until, reason, after), json_)


@pause.command("archiving")
@_HOST
@_UNTIL
@_REASON
@JSON
def pause_archiving(host: str | None, until: datetime | None, reason: str | None, json_: bool) -> None:
    """Begin no more transfers, from one plotter or from all. Finished plots wait in dst."""
    from plotman.control.actions import holds

    show(holds.pause("archiving", host, until, reason), json_)


@click.group()
def unpause() -> None:
    """Start plots or transfers again."""


@unpause.command("plotting")
@_HOST
@JSON
def unpause_plotting(host: str | None, json_: bool) -> None:
    """Start plots again as the rules allow, also after plotters died at once."""
    from plotman.control.actions import holds

    show(holds.unpause("plotting", host), json_)


@unpause.command("archiving")
@_HOST
@JSON
def unpause_archiving(host: str | None, json_: bool) -> None:
    """Send plots again as the rules allow."""
    from plotman.control.actions import holds

    show(holds.unpause("archiving", host), json_)


@click.command()
@_PLACES
@_UNTIL
@_REASON
@JSON
def drain(places: tuple[str, ...], until: datetime | None, reason: str | None, json_: bool) -> None:
    """Send no more plots to PLACE; running plots there continue, and finished ones leave.

    PLACE is HOST (it starts no plots, its drives accept none), HOST:DIR (a tmp, tmp2 or dst directory, or a
    drive), DIR of this machine, or `all`. A drain survives restarts.
    """
    _drain(places, True, json_, until, reason)


@click.command()
@_PLACES
@JSON
def undrain(places: tuple[str, ...], json_: bool) -> None:
    """Allow plots at PLACE again: the opposite of `drain`, for the same PLACE.

    With `all`, on every host and in each directory and drive that was drained by itself.
    """
    _drain(places, False, json_)


def _drain(
    places: tuple[str, ...], on: bool, json_: bool, until: datetime | None = None, reason: str | None = None
) -> None:
    from plotman.control.actions import holds

    try:
        answers = holds.drain(places, on, until, reason)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    show(answers, json_)
