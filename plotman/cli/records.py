"""`plotman history`, `analyze`, `export` and `prometheus`: what happened, as tables and as files."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from plotman.cli.console import JSON, as_json, draw, parsed, stop_at_signal
from plotman.control.arguments import past

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.history.rows import PlotEnd
    from plotman.control.queries.history import HistoryResult

_WORDS = ("host", "tmp", "tmp2", "dst", "plotter", "k", "compression", "version", "bitfield")
_since = click.option(
    "--since",
    metavar="TIME",
    callback=parsed(lambda text: past(text, datetime.now(UTC))),
    help="Only what ended since: 24h, 7d, 2w, or a date.",
)
_host = click.option("--host", help="Only this host; else all of the farm.")


@click.command()
@click.option("--plots", "kind", flag_value="plots", default=True, help="Plots that were made (the default).")
@click.option("--transfers", "kind", flag_value="transfers", help="Plots that were sent to drives.")
@click.option("--landings", "kind", flag_value="landings", help="Plots that harvesters received.")
@click.option("--summary", is_flag=True, help="Plots and TiB per day, and when the drives are full.")
@_host
@_since
@click.option("--failed", is_flag=True, help="Only failures.")
@click.option("-n", "--lines", "most", default=30, show_default=True, type=click.IntRange(1), help="At most.")
@JSON
def history(
    kind: str, summary: bool, host: str | None, since: datetime | None, failed: bool, most: int, json_: bool
) -> None:
    """Show the plots that were made and moved, the newest first."""
    from common.history.rows import HistoryKind
    from plotman.control.queries.history import gather, table

    if summary:
        _summary(json_)
        return
    found = gather(HistoryKind(kind), host, since, most, failed)
    _warn_missing(found)
    if json_:
        as_json(found.as_json())
        return
    draw(table(found))
    if not found.rows:
        click.echo("The history has no such rows.", err=True)


def _summary(json_: bool) -> None:
    from plotman.control.farm import board, read_farm
    from plotman.control.queries.forecast import forecast, forecast_json, paces_table, sentence

    farm = read_farm(board())
    if json_:
        as_json(forecast_json(farm))
        return
    draw(paces_table(farm))
    click.echo(sentence(forecast(farm)))


@click.command()
@click.argument("logfile", nargs=-1)
@click.option("--by", multiple=True, type=click.Choice(_WORDS), help="Separate plots by this, too.")
@click.option("--bytmp", is_flag=True, help="The same as --by tmp.")
@click.option("--bybitfield", is_flag=True, help="The same as --by bitfield.")
@click.option("--clipterminals", is_flag=True, help="Leave out the first and last plot of each LOGFILE.")
@click.option("--mix", is_flag=True, help="Average over all plotters and ks that --by does not separate.")
@click.option(
    "--last",
    default=10,
    show_default=True,
    type=click.IntRange(1),
    help="Newest plots of the trend, at most half of all.",
)
@_host
@_since
@JSON
def analyze(
    logfile: tuple[str, ...],
    by: tuple[str, ...],
    bytmp: bool,
    bybitfield: bool,
    clipterminals: bool,
    mix: bool,
    last: int,
    host: str | None,
    since: datetime | None,
    json_: bool,
) -> None:
    """Show how long plots took: mean and deviation of each phase, median, and trend.

    LOGFILE: logs of any plotter, also of plotman 0.5, and patterns. Without one: the farm's history.
    """
    from plotman.control.queries.analysis import analyse, table

    plots, terminal = _plots(logfile, host, since)
    kept = [plot for plot in plots if not (clipterminals and plot.key in terminal)]
    words = (*by, *(["tmp"] if bytmp else []), *(["bitfield"] if bybitfield else []))
    done = analyse(kept, words, mix, last)
    if json_:
        as_json(done.as_json())
        return
    draw(table(done))
    if not kept:
        click.echo("There is no complete plot to analyze.", err=True)


@click.command()
@click.argument("logfile", nargs=-1)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
@click.option("--format", "format_", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True)
@click.option("--all", "all_", is_flag=True, help="Include plots that failed.")
@_host
@_since
def export(
    logfile: tuple[str, ...],
    output: Path | None,
    format_: str,
    all_: bool,
    host: str | None,
    since: datetime | None,
) -> None:
    """Write the plots that were made as CSV, in the columns of plotman 0.5 and some more, or as JSON lines.

    LOGFILE: logs of any plotter, also of plotman 0.5, and patterns. Without one: the farm's history.
    """
    from common.errors import PlotmanError
    from common.model.units import counted
    from plotman.control.queries.export import write_csv, write_jsonl

    plots, _ = _plots(logfile, host, since, all_)
    write = write_csv if format_ == "csv" else write_jsonl
    if output is None:
        write(plots, sys.stdout)
        return
    try:
        with output.open("w", encoding="utf-8", newline="") as out:
            write(plots, out)
    except OSError as error:
        raise PlotmanError(f"{output} cannot be written: {error.strerror}.", "Name another file.") from error
    click.echo(f"{counted(len(plots), 'plot')} in {output}.", err=True)


def _plots(
    logfiles: tuple[str, ...], host: str | None, since: datetime | None, unmade: bool = False
) -> tuple[Sequence[PlotEnd], frozenset[str]]:
    """Return plots of logs or of the farm's history, and the keys of the first and last plot of each log.

    unmade: include plots that failed. Raises PlotmanError if no log has a complete plot.
    """
    from common.errors import PlotmanError
    from common.history.rows import End, HistoryKind, PlotEnd

    if logfiles:
        from plotman.control.queries.plot_logs import read

        if host:
            raise click.UsageError(
                "--host selects from the farm's history; a LOGFILE does not name its host."
            )
        logs = read(logfiles)
        for sentence in logs.unread:
            click.echo(sentence, err=True)
        if logs.unread and not logs.plots:
            raise PlotmanError("No log has a complete plot.", "Name logs of plotters.")
        return [plot for plot in logs.plots if since is None or plot.ended_at >= since], logs.terminal
    from plotman.control.queries.history import gather

    found = gather(HistoryKind.PLOTS, host, since)
    _warn_missing(found)
    plots = [row for row in found.rows if isinstance(row, PlotEnd)]
    return [plot for plot in plots if unmade or plot.end is End.DONE], frozenset()


def _warn_missing(found: HistoryResult) -> None:
    for host, why in found.missing.items():
        click.echo(f"{host} is missing: {why}", err=True)


@click.command()
@click.option(
    "--listen",
    metavar="[ADDRESS:]PORT",
    help="Serve them to Prometheus there, until Ctrl-C. Without an address: to this machine only.",
)
def prometheus(listen: str | None) -> None:
    """Print the farm's metrics in Prometheus' text format: plotman 0.5's, and more.

    If the broker does not answer, the only metric is plotman_broker_up 0.
    """
    from common.model.address import bracketed, listen_at
    from plotman.control.farm import board
    from plotman.metrics.collector import as_text, serving

    if listen is None:
        click.echo(as_text(board()), nl=False)
        return
    host, port = listen_at(listen)
    stop = stop_at_signal()
    with serving(board(), host, port):
        click.echo(f"Serving http://{bracketed(host)}:{port}/metrics", err=True)
        stop.wait()
