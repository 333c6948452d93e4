"""`plotman status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from plotman.cli.candidates import complete_host
from plotman.cli.confirm import JSON

if TYPE_CHECKING:
    from plotman.control.farm import FarmState


CLASSIC = click.option(
    "--classic", is_flag=True, help="Use the column names and units of plotman 0.5.3, for scripts."
)


@click.command()
@click.option("--host", help="Only this host.", shell_complete=complete_host)
@CLASSIC
@JSON
def status(json_: bool, host: str | None, classic: bool) -> None:
    """Show running plots, transfers, files that are left alone, and what waits."""
    from plotman.cli.draw import as_json, terminal_width
    from plotman.control.farm import narrowed, quick_board, read_farm
    from plotman.control.queries.reports import status_json

    farm = narrowed(read_farm(quick_board()), host)
    if json_:
        as_json(status_json(farm))
    else:
        click.echo(status_text(farm, terminal_width(), classic))


def status_text(farm: FarmState, width: int | None, classic: bool = False) -> str:
    """Format the output of `plotman status`.

    Args:
        width: columns of the terminal; None: as wide as needed.
        classic: with the column names and units of plotman 0.5.3.
    """
    from common.model.text import one_line
    from plotman.cli.draw import as_text
    from plotman.control.queries import reports, tables

    lines = [click.style(one_line(f"! {note}"), fg="yellow") for note in reports.notes(farm)]
    for make in (tables.jobs_table, tables.moves_table, tables.plots_table, tables.waits_table):
        if (table := make(farm, classic)).rows:
            lines += [as_text(table, width), ""]
    lines.append(f"Total jobs: {len(farm.jobs())}")
    lines += [
        f"Jobs in {tmp} on {host}: {count}"
        for host, tmp, count in tables.jobs_per_tmp(farm.plotters.values())
    ]
    lines.append(f"Updated at: {farm.at.astimezone():%Y-%m-%d %H:%M:%S}")
    return "\n".join(lines)
