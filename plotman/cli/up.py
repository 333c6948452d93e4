"""`plotman up`, `plot` and `archive`: this machine's processes in the foreground."""

from __future__ import annotations

from pathlib import Path

import click

from plotman.up.children import NAMES

_CONFIG = click.option(
    "-c",
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The plotman.yaml to use, in place of the usual one.",
)


@click.command()
@_CONFIG
@click.option(
    "--only",
    multiple=True,
    metavar="ROLE",
    type=click.Choice(NAMES),
    help=f"Run only this one of {', '.join(NAMES)}; may be given more than once.",
)
def up(config_file: Path | None, only: tuple[str, ...]) -> None:
    """Run everything that plotman.yaml asks for on this machine, until Ctrl-C.

    What crashes is started again. Plots that run are never touched: they go on when this stops, and are
    found again at the next start.
    """
    from common.config import default_path, load  # late: --help need not wait for pydantic
    from plotman.up.start import up as run

    path = config_file or default_path()
    run(load(path), path, say, only)


@click.command()
@_CONFIG
def plot(config_file: Path | None) -> None:
    """Make plots on this machine, until Ctrl-C. Plots that run go on after that.

    The plotting half of `plotman up`; `plotman archive` may run in another terminal.
    """
    _half("plot", config_file)


@click.command()
@_CONFIG
def archive(config_file: Path | None) -> None:
    """Move finished plots from this machine, and take plots in on its drives, until Ctrl-C. Starts no plots.

    The archiving half of `plotman up`; `plotman plot` may run in another terminal.
    """
    _half("archive", config_file)


def _half(verb: str, config_file: Path | None) -> None:
    from common.config import default_path, load
    from plotman.up.sharing import Half
    from plotman.up.start import up as run

    path = config_file or default_path()
    run(load(path), path, say, half=Half(verb))


def say(text: str) -> None:
    """A line for people. A terminal that went away does not stop us."""
    try:
        click.echo(text)
    except OSError:
        return
