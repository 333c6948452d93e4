"""`plotman dirs`."""

from __future__ import annotations

import click


@click.command()
@click.option("--json", "json_", is_flag=True, help="Print JSON, for programs.")
def dirs(json_: bool) -> None:
    """Show the tmp, dst and archive directories: room, readiness, and what is on its way there."""
    from plotman.cli.draw import as_json, draw
    from plotman.control import reports, tables
    from plotman.control.farm import board, look

    farm = look(board())
    if json_:
        as_json(reports.dirs_json(farm))
        return
    for note in reports.notes(farm):
        click.secho(f"! {note}", fg="yellow")
    shown = (tables.tmp_table, tables.dst_table, tables.drives_table)
    for table in filter(lambda table: table.rows, (make(farm) for make in shown)):
        draw(table)
        click.echo()
