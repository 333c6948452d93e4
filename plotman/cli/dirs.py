"""`plotman dirs` and `plotman dsched`."""

from __future__ import annotations

import click

from plotman.cli.candidates import complete_host
from plotman.cli.confirm import JSON
from plotman.cli.status import CLASSIC


@click.command()
@click.option("--host", help="Only this host.", shell_complete=complete_host)
@CLASSIC
@JSON
def dirs(json_: bool, host: str | None, classic: bool) -> None:
    """Show the tmp, dst and archive directories: free space, state, and incoming plots."""
    from common.model.text import one_line
    from plotman.cli.draw import as_json, draw
    from plotman.control.farm import narrowed, quick_board, read_farm
    from plotman.control.queries import reports, tables

    farm = narrowed(read_farm(quick_board()), host)
    if json_:
        as_json(reports.dirs_json(farm))
        return
    for note in reports.notes(farm):
        click.secho(one_line(f"! {note}"), fg="yellow")
    shown = (tables.tmp_table, tables.dst_table, tables.drives_table)
    for table in filter(lambda table: table.rows, (make(farm, classic) for make in shown)):
        draw(table)
        click.echo()


@click.command()
@click.option("--host", help="Only this host.", shell_complete=complete_host)
@JSON
def dsched(json_: bool, host: str | None) -> None:
    """Show the dst directories: the phases of the plots that go there, and where the next plots would go.

    `next from` names the tmp directories from which a plot that started now would go to this one.
    """
    from plotman.cli.draw import as_json, draw
    from plotman.control.farm import narrowed, quick_board, read_farm
    from plotman.control.queries.schedule import dsched_json, dsched_table

    farm = narrowed(read_farm(quick_board()), host)
    if json_:
        as_json(dsched_json(farm))
    else:
        draw(dsched_table(farm))
