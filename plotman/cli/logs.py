"""`plotman logs`."""

from __future__ import annotations

import sys

import click

from plotman.cli.candidates import complete_host, complete_plot


@click.command()
@click.argument("plot", shell_complete=complete_plot)
@click.option("-f", "--follow", is_flag=True, help="Follow the log until the plot ends.")
@click.option("-n", "--lines", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@click.option("--host", help="Only on this plotter.", shell_complete=complete_host)
@click.option("--tmp", metavar="DIR", help="Only in this tmp directory.")
def logs(plot: str, follow: bool, lines: int | None, host: str | None, tmp: str | None) -> None:
    """Print the log of a plot of any host.

    PLOT is the start of its id, or HOST:PID. Logs of ended plots are found until they are deleted.
    """
    from plotman.control.actions.plots import open_log, read_on
    from plotman.control.farm import board, read_farm

    log = open_log(read_farm(board()), plot, host, tmp, lines)
    try:
        for text in read_on(log, follow, lambda warning: click.echo(f"plotman: {warning}", err=True)):
            click.echo(text, nl=False)
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(130)  # 128 + SIGINT, as shells do
