"""`plotman resend` and `plotman bandwidth`."""

from __future__ import annotations

import click

from plotman.cli.candidates import complete_host
from plotman.cli.confirm import JSON, must_agree, show


def _rate(_ctx: click.Context, _param: click.Parameter, text: str) -> int | None:
    """Parse a rate (see rate_of). Raises click.BadParameter."""
    from plotman.control.arguments import rate_of

    try:
        return rate_of(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.argument("rate", callback=_rate)
@click.option("--host", help="Only this plotter; else all of the farm.", shell_complete=complete_host)
@JSON
def bandwidth(rate: int | None, host: str | None, json_: bool) -> None:
    """Limit the rate at which plotters send to other machines, from now on.

    RATE is in bytes per second (80M, 500K), `off` for no limit, or `default` for the limit in plotman.yaml.
    """
    from plotman.control.actions import holds

    show(holds.bandwidth(rate, host), json_)


@click.command()
@click.argument("plot")
@click.option(
    "--host", help="The plotter that has it; by default it is searched for.", shell_complete=complete_host
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@JSON
def resend(plot: str, host: str | None, yes: bool, json_: bool) -> None:
    """Send a plot again that a harvester refused, or that waits for a harvester that is lost for good.

    PLOT is its path, its file name or the start of its id. If the lost harvester may have the plot, this
    explains the consequences and asks.
    """
    from plotman.control.actions import resend as resending
    from plotman.control.actions.holds import HoldAnswers
    from plotman.control.farm import board

    stuck = resending.find(board(), plot, host)
    if stuck.warning:
        click.echo(stuck.warning, err=True)
        if not yes:
            must_agree("Send it to another?", "With --yes it is sent without asking.")
    show([HoldAnswers(stuck.host, resending.resend(stuck))], json_)
