"""`plotman cleanup`."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import click

from common.errors import ExitCode
from plotman.cli.confirm import JSON

if TYPE_CHECKING:
    from collections.abc import Sequence

    from plotman.control.actions.cleanup import CleanupResult, FoundLeftovers

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def age_of(text: str | None) -> float | None:
    """Parse `90m`, `2h`, `3d` or `45s` as seconds. Raises click.BadParameter."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", text.strip().lower())
    if match is None:
        raise click.BadParameter(f"{text} is not an age; write 30m, 2h or 3d")
    return float(match[1]) * _UNITS_S[match[2]]


@click.command()
@click.option("--host", help="Only this plotter; else all of the farm.")
@click.option("--tmp", metavar="DIR", help="Only this tmp, tmp2 or dst directory.")
@click.option(
    "--older",
    metavar="AGE",
    callback=lambda _ctx, _param, text: age_of(text),
    help="Only files unchanged for this time: 30m, 2h, 3d. At least five minutes.",
)
@click.option("--yes", is_flag=True, help="Delete them. Without it they are only listed.")
@JSON
def cleanup(host: str | None, tmp: str | None, older: float | None, yes: bool, json_: bool) -> None:
    """Find files that crashed or killed plotters left in their directories; delete them with --yes.

    Files of running and suspended plots are never touched, no matter who started them; nor are finished
    plots.
    """
    from plotman.cli.draw import as_json, draw
    from plotman.control.actions import cleanup as cleaning

    found = cleaning.find(host, tmp, older)
    if not json_:
        draw(cleaning.leftovers_table(found))
        draw(cleaning.kept_table(found))
    cleaned: list[CleanupResult] | None = None
    if yes:
        cleaned = [done for one in found if one.leftovers for done in cleaning.delete(one, older)]
    if json_:
        as_json(cleaning.as_dict(found, cleaned))
    else:
        _summarize(found, cleaned)
    if any(one.error for one in found) or any(done.refused for done in cleaned or ()):
        sys.exit(ExitCode.FAILED)


def _summarize(found: Sequence[FoundLeftovers], cleaned: Sequence[CleanupResult] | None) -> None:
    from common.model.units import counted, human_bytes

    for one in found:
        for trouble in one.troubles:
            click.echo(f"{one.host}: {trouble}", err=True)
        if one.error is not None:
            click.echo(f"{one.host}: {one.error}", err=True)
    files, size_bytes = sum(len(one.leftovers) for one in found), sum(one.bytes for one in found)
    if cleaned is None:
        if files:
            size = f"{counted(files, 'file')}, {human_bytes(size_bytes)}"
            click.echo(f"{size}: `plotman cleanup --yes` deletes {'it' if files == 1 else 'them'}.")
        else:
            answered = all(one.error is None for one in found)
            click.echo("No leftovers." if answered else "No leftovers on the hosts that answered.")
        return
    for done in cleaned:
        for path, reason in done.refused:
            click.echo(f"{done.host}: {path} stays: {reason}", err=True)
    deleted = sum(done.deleted for done in cleaned)
    click.echo(
        f"{counted(deleted, 'file')} deleted, {human_bytes(sum(done.freed_bytes for done in cleaned))} freed."
    )
