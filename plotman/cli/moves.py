"""`plotman resend` and `plotman bandwidth`."""

from __future__ import annotations

import click

from plotman.cli.answers import JSON, show
from plotman.cli.complete import complete_host


def _rate(_ctx: click.Context, _param: click.Parameter, text: str) -> int | None:
    """Bytes a second; 0: no limit; None: as plotman.yaml says. Raises click.BadParameter."""
    from plotman.control.rates import rate_of

    try:
        return rate_of(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.argument("rate", callback=_rate)
@click.option("--host", help="Only this plotter; else all of the farm.", shell_complete=complete_host)
@JSON
def bandwidth(rate: int | None, host: str | None, json_: bool) -> None:
    """Limit what plotters send to other machines, now: RATE is bytes a second (80M, 500K), `off` for no limit
    or `default` for what plotman.yaml says."""
    from plotman.control import holding

    show(holding.bandwidth(rate, host), json_)


@click.command()
@click.argument("plot")
@click.option(
    "--host", help="The plotter on which it lies; else the one that has it.", shell_complete=complete_host
)
@JSON
def resend(plot: str, host: str | None, json_: bool) -> None:
    """Send a plot again that a harvester refused. PLOT is its path, its file name or the start of its id."""
    from plotman.control import refused
    from plotman.control.holding import Said

    holder = refused.holder_of(plot, host)
    show([Said(holder, refused.resend(holder, plot))], json_)
