"""`plotman pause` and `plotman unpause`."""

from __future__ import annotations

import click

_HOST = click.option("--host", help="Only this plotter; else all of the farm.")


@click.group()
def pause() -> None:
    """Start no more plots. Those that run go on."""


@pause.command("plotting")
@_HOST
@click.option(
    "--after", type=click.IntRange(min=0), metavar="N", help="Only after N more plots were started."
)
@click.option("--reason", default="paused by hand", show_default=True, help="Shown in `plotman status`.")
def pause_plotting(host: str | None, after: int | None, reason: str) -> None:
    """Start no more plots, on one plotter or on all."""
    from plotman.control import asking, steering

    for plotter in asking.plotters(host):
        click.echo(steering.pause(plotter, reason, after))


@click.group()
def unpause() -> None:
    """Start plots again."""


@unpause.command("plotting")
@_HOST
def unpause_plotting(host: str | None) -> None:
    """Start plots as the rules allow, also where plotters died at once and no more were started."""
    from plotman.control import asking, steering

    for plotter in asking.plotters(host):
        click.echo(steering.unpause(plotter))
