"""`plotman interactive`."""

from __future__ import annotations

import os
import sys

import click


@click.command()
@click.option(
    "--web",
    metavar="[ADDRESS:]PORT",
    help="Show it in browsers at http://ADDRESS:PORT instead of in this terminal. Other machines need "
    "farm.flower_auth, and log in with it.",
)
def interactive(web: str | None) -> None:
    """Show the farm live, and control it by keys and mouse. Closing it stops nothing.

    ? shows the keys. Needs at least 40 columns and 10 lines.
    """
    from common import config

    settings = config.load()  # shows mistakes in plotman.yaml before the screen is used
    if web is not None:
        from common.model.address import listen_at
        from plotman.dashboard.web import serve

        serve(settings, *listen_at(web))
        return
    # Textual reads keys from stdin and draws on stderr.
    streams = {"stdin": sys.stdin, "stderr": sys.stderr}
    redirected = [name for name, stream in streams.items() if not stream.isatty()]
    if redirected and "TEXTUAL_DRIVER" not in os.environ:
        raise click.UsageError(
            f"It needs a terminal on {' and '.join(redirected)}: do not redirect. "
            "`plotman status` prints; --web shows it in a browser."
        )

    from plotman.control.actions.holds import requester
    from plotman.control.farm import board
    from plotman.control.rpc import ask_each
    from plotman.dashboard.app import make_app
    from plotman.dashboard.source import BoardSource

    make_app(BoardSource(board), ask_each, requester()).run()
