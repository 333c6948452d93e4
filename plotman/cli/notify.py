"""`plotman notify`: tell people what happens in the farm."""

from __future__ import annotations

import logging
import signal
import sys
import threading

import click

from common.errors import ExitCode


@click.group()
def notify() -> None:
    """Tell people what happens in the farm, as plotman.yaml's section notifications says."""


@notify.command()
def run() -> None:
    """Tell them, until Ctrl-C. `plotman up` runs this where notifications are configured."""
    from plotman.notifications.service import run_here

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    run_here(stop)


@notify.command()
@click.argument("target", required=False)
def test(target: str | None) -> None:
    """Send one message through every target, or through TARGET, and say what became of it.

    Exit status 1 if any was not told, 5 if there is none.
    """
    from plotman.notifications.service import try_out

    failed = False
    for name, why_not in try_out(target):
        click.echo(f"{name}: {'told' if why_not is None else f'not told. {why_not}'}")
        failed |= why_not is not None
    sys.exit(ExitCode.FAILED if failed else ExitCode.OK)


@notify.command("list")
@click.option("--json", "json_", is_flag=True, help="Print JSON, for programs.")
def list_(json_: bool) -> None:
    """Show what can be told, for the key events of plotman.yaml."""
    from common.model.notification_kinds import KINDS
    from plotman.cli.draw import as_json, draw
    from plotman.control.queries.tables import PlainTable

    kinds = [kind for kind in KINDS.values() if kind.name != "test"]
    if json_:
        listed = [
            {
                "event": kind.name,
                "group": kind.group,
                "severity": kind.severity.word,
                "action": kind.action,
                "meaning": kind.meaning,
            }
            for kind in kinds
        ]
        as_json({"version": 1, "events": listed})
        return
    rows = tuple(
        (kind.name, kind.group, kind.severity.word, "yes" if kind.action else "", kind.meaning)
        for kind in kinds
    )
    draw(PlainTable(("event", "group", "severity", "action", "told when"), rows))
    click.echo("\nevents: takes names, groups, `action` (the default) and `all`.")
