"""`plotman status`."""

from __future__ import annotations

import click

from plotman.cli.candidates import complete_host


@click.command()
@click.option("--host", help="Only this host.", shell_complete=complete_host)
@click.option("--json", "json_", is_flag=True, help="Print JSON, for programs.")
def status(json_: bool, host: str | None) -> None:
    """Show every plot in the making, every transfer, and what waits for what."""
    from plotman.cli.draw import as_json, draw
    from plotman.control.farm import glance, look, narrowed
    from plotman.control.queries import reports, tables

    farm = narrowed(look(glance()), host)
    if json_:
        as_json(reports.status_json(farm))
        return
    for note in reports.notes(farm):
        click.secho(f"! {note}", fg="yellow")
    shown = (tables.jobs_table, tables.moves_table, tables.plots_table, tables.waits_table)
    for table in filter(lambda table: table.rows, (make(farm) for make in shown)):
        draw(table)
        click.echo()
    click.echo(f"Total jobs: {len(farm.jobs())}")
    for host, tmp, count in tables.jobs_per_tmp(farm.plotters.values()):
        click.echo(f"Jobs in {tmp} on {host}: {count}")
    click.echo(f"Updated at: {farm.at.astimezone():%Y-%m-%d %H:%M:%S}")
