"""`plotman up`, `plot` and `archive`: this machine's processes in the foreground."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from plotman.supervisor.processes import NAMES

if TYPE_CHECKING:
    from common.config import Config

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
    """Run all roles that plotman.yaml names on this machine, until Ctrl-C.

    Processes that crash are restarted. Running plots are never touched: they continue when this stops, and
    are found again at the next start.
    """
    from plotman.supervisor.up import up as run  # late: --help need not wait for pydantic

    run(*_settings(config_file), say, only)


@click.command()
@_CONFIG
def plot(config_file: Path | None) -> None:
    """Make plots on this machine, until Ctrl-C. Running plots continue after that.

    The plotting half of `plotman up`; `plotman archive` may run in another terminal.
    """
    _half("plot", config_file)


@click.command()
@_CONFIG
def archive(config_file: Path | None) -> None:
    """Send finished plots from this machine, and receive plots on its drives, until Ctrl-C. Starts no plots.

    The archiving half of `plotman up`; `plotman plot` may run in another terminal.
    """
    _half("archive", config_file)


def _half(verb: str, config_file: Path | None) -> None:
    from plotman.supervisor.locks import Half
    from plotman.supervisor.up import up as run

    run(*_settings(config_file), say, half=Half(verb))


def _settings(config_file: Path | None) -> tuple[Config, Path]:
    """Load the settings; returns them and their file.

    In a terminal, a mistake in the file is an error that the operator sees and corrects. Without one, as
    under systemd, the last good file is used.
    """
    from common.config import default_path, load
    from common.config.watch import load_to_run

    path = config_file or default_path()
    return (load(path) if sys.stdin.isatty() else load_to_run(path, say)), path


def say(text: str) -> None:
    """Print a line; a closed terminal is ignored."""
    try:
        click.echo(text)
    except OSError:
        return
