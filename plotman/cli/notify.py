"""`plotman notify`: send notifications of events in the farm."""

from __future__ import annotations

import logging
import sys

import click

from common.errors import ExitCode
from plotman.cli.console import JSON, as_json, draw, stop_at_signal


@click.group()
def notify() -> None:
    """Send notifications of events in the farm, as configured in section notifications of plotman.yaml."""


@notify.command()
def run() -> None:
    """Send notifications until Ctrl-C. `plotman up` runs this if notifications are configured."""
    from plotman.notifications.service import run_here

    stop = stop_at_signal()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    run_here(stop)


@notify.command()
@click.argument("target", required=False)
def test(target: str | None) -> None:
    """Send one message to each target, or to TARGET, and print the results.

    Exit status 1 if any failed, 5 if there is no target.
    """
    from plotman.notifications.service import try_out

    failed = False
    for name, why_not in try_out(target):
        click.echo(f"{name}: {'delivered' if why_not is None else f'failed. {why_not}'}")
        failed |= why_not is not None
    sys.exit(ExitCode.FAILED if failed else ExitCode.OK)


@notify.command("list")
@JSON
def list_(json_: bool) -> None:
    """List the events that can be sent, for the key `events` in plotman.yaml."""
    from common.model.notification_kinds import KINDS
    from plotman.control.queries.tables import PlainTable

    kinds = [kind for kind in KINDS.values() if kind.name != "test"]
    listed = [(kind.name, kind.group, kind.severity.word, kind.action, kind.meaning) for kind in kinds]
    if json_:
        keys = ("event", "group", "severity", "action", "meaning")
        as_json({"version": 1, "events": [dict(zip(keys, each, strict=True)) for each in listed]})
        return
    rows = tuple(
        (name, group, word, "yes" if action else "", what) for name, group, word, action, what in listed
    )
    draw(PlainTable(("event", "group", "severity", "action", "sent when"), rows))
    click.echo("\nThe key `events` takes names, groups, `action` (the default) and `all`.")
