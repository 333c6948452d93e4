"""`plotman forget`."""

from __future__ import annotations

import click

from plotman.cli.candidates import complete_silent_host
from plotman.cli.confirm import JSON, must_agree, show


@click.command()
@click.argument("host", shell_complete=complete_silent_host)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@JSON
def forget(host: str, yes: bool, json_: bool) -> None:
    """Remove HOST, a machine that is lost for good, after showing what is known of it and asking.

    It must be silent. `status`, the dashboard and the metrics no longer show it, and its plots that may still
    run no longer count for farm.max_jobs. Messages that wait for it are deleted: beat's orders, which have
    expired, and Terminate in Flower, which must be repeated. No file is touched on any machine. If HOST comes
    back, it announces itself again, with all its plots.
    """
    from plotman.control.actions import forget as forgetting
    from plotman.control.actions.holds import HoldAnswers

    lost = forgetting.find(host)
    if not yes:
        click.echo("\n".join(forgetting.lines(lost)), err=True)
        must_agree(f"Forget {host}?", "With --yes the host is forgotten without asking.")
    show([HoldAnswers(host, forgetting.forget(host))], json_)
