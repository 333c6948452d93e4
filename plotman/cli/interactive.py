"""`plotman interactive`."""

from __future__ import annotations

import click


@click.command()
def interactive() -> None:
    """Show the farm live, and steer it by keys and mouse. Closing it stops nothing."""
    from common import config
    from plotman.control.asking import ask_each
    from plotman.control.farm import board
    from plotman.dashboard.app import make_app
    from plotman.dashboard.source import BoardSource

    config.load()  # what is wrong with plotman.yaml is said before the screen is taken
    make_app(BoardSource(board), ask_each).run()
