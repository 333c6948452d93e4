"""`plotman up`: this machine's processes in the foreground."""

from __future__ import annotations

from pathlib import Path

import click

from plotman.up.children import NAMES


@click.command()
@click.option(
    "-c",
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The plotman.yaml to use, in place of the usual one.",
)
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


def say(text: str) -> None:
    """A line for people. A terminal that went away does not stop us."""
    try:
        click.echo(text)
    except OSError:
        return
