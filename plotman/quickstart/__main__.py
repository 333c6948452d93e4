"""Called by ./deploy/quickstart, which has set everything up."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType

import click
from rich.console import Console

from common.errors import PlotmanError
from plotman.quickstart.chia import MIN_K
from plotman.quickstart.run import Wish, quickstart


@click.command()
@click.option(
    "--farm",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("farm"),
    show_default=True,
    help="Folder of the farm; made if it is not there. Plots of earlier runs stay in it.",
)
@click.option("--plots", type=click.IntRange(min=1), default=6, show_default=True, help="How many to make.")
@click.option(
    "--k", type=click.IntRange(MIN_K, 32), default=MIN_K, show_default=True, help="Size of the plots."
)
@click.option(
    "--chia",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The official chia program.",
)
def main(farm: Path, plots: int, k: int, chia: Path) -> None:
    """Make real plots on this machine and farm them out to drives, in a folder.

    Lays out a small farm (2 tmp, 2 dst, 4 drives), runs all of plotman on it until the plots lie verified
    on the drives, and tells how it went. Ctrl-C stops it; a plot in the making goes on by itself.
    """
    signal.signal(signal.SIGTERM, _leave)
    console = Console()
    try:
        quickstart(Wish(farm, plots, k, chia.absolute()), console)
    except PlotmanError as error:
        click.echo(f"quickstart: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        click.echo("quickstart: stopped. Plots in the making go on; a next run moves them.", err=True)
        sys.exit(130)


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
