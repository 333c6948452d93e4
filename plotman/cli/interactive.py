"""`plotman interactive`."""

from __future__ import annotations

import os
import sys

import click


@click.command()
@click.option(
    "--web",
    metavar="[ADDRESS:]PORT",
    help="Show it in browsers, at http://ADDRESS:PORT, in place of this terminal. Beyond this machine only "
    "with farm.flower_auth, which is asked for.",
)
def interactive(web: str | None) -> None:
    """Show the farm live, and steer it by keys and mouse. Closing it stops nothing.

    ? shows the keys. Works from 40 columns and 10 lines up.
    """
    from common import config

    settings = config.load()  # what is wrong with plotman.yaml is said before the screen is taken
    if web is not None:
        from common.model.address import listen_at
        from plotman.dashboard.web import serve

        serve(settings, *listen_at(web))
        return
    if "TEXTUAL_DRIVER" not in os.environ and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError("This is no terminal. `plotman status` prints; --web shows it in a browser.")

    from plotman.control.actions.holds import whoever_asks
    from plotman.control.farm import board
    from plotman.control.rpc import ask_each
    from plotman.dashboard.app import make_app
    from plotman.dashboard.source import BoardSource

    make_app(BoardSource(board), ask_each, whoever_asks()).run()
