"""The cards and charts of the page of the farm. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from common.model.text import one_line
from common.model.units import counted, human_bytes
from plotman.control.farm import FarmState
from plotman.control.queries.forecast import Pace, forecast
from plotman.control.queries.replot import progress
from plotman.flower import charts
from plotman.flower.page import Card, Chart
from plotman.flower.trends import Trends

_TIB = 2**40
_HOUR_S = 3600
_WEEK_DAYS = 7


def cards(farm: FarmState, needs: int) -> Iterable[Card]:
    hosts = {*farm.plotters, *farm.archivers, *farm.harvesters}
    silent = {host for _, host in farm.stale}
    transfers = sum(len(archiver.transfers) for archiver in farm.archivers.values())
    expected = forecast(farm)
    free = expected.free_bytes if expected.drives else None
    full_in = (
        "" if expected.days is None else f"full in {in_days(expected.days)}" if expected.days else "full"
    )
    yield Card(
        "Hosts", f"{len(hosts - silent)} of {len(hosts)}", "danger" if silent else "success",
        f"{len(silent)} silent" if silent else "all report",
    )  # fmt: skip
    yield Card("Running plots", str(len(farm.jobs())), "active", counted(transfers, "transfer"))
    made = expected.made
    yield Card(
        "Plots/day", _per_day(made.count_per_day, made.day_count), "", f"{made.day_count} in {made.day_span}"
    )
    archived = expected.archived
    yield Card(
        "TiB/day",
        _tib_per_day(archived),
        "",
        f"{archived.day_bytes / _TIB:.2f} archived in {archived.day_span}",
    )
    yield Card("Free space", human_bytes(free) if free is not None else "?", "", full_in)
    if replots := progress.reports(farm):
        totals = progress.Totals.of(replots.values())
        left = "" if totals.left_bytes is None else f"{human_bytes(totals.left_bytes)} left, "
        yield Card("Old plots deleted", totals.deleted_text, "", f"{left}{totals.new_plots:,} new")
    yield Card("Needs a hand", str(needs), "danger" if needs else "success", "" if needs else "all is well")


def _per_day(count: float | None, so_far: int) -> str:
    """The rate; in a farm's first hour what there is."""
    return str(so_far) if count is None else f"{count:.1f}"


def _tib_per_day(pace: Pace) -> str:
    rate = pace.day_bytes if pace.bytes_per_day is None else pace.bytes_per_day
    return f"{rate / _TIB:.2f}"


def in_days(days: float) -> str:
    if days > 3650:
        return "more than 10 years"
    hours = round(days * 24)
    return (
        counted(round(days), "day") if days >= 2 else counted(hours, "hour") if hours else "less than an hour"
    )


def draw_charts(trends: Trends) -> Iterable[Chart]:
    """Draw the charts, from the first day with a plot, but a week at least."""
    with_plots = (number for number, day in enumerate(trends.totals) if day.made or day.archived)
    first = min(next(with_plots, 0), max(0, len(trends.days) - _WEEK_DAYS))
    days, totals = trends.days[first:], trends.totals[first:]
    labels = [f"{day:%b %d}" for day in days]
    made = [day.made for day in totals]
    tib = [day.archived_bytes / _TIB for day in totals]
    yield Chart(
        "Plots per day", f"{sum(made)} in 30 days",
        charts.bars("Plots per day in the last 30 days", labels, made, "plots"),
    )  # fmt: skip
    yield Chart(
        "TiB archived per day", f"{sum(tib):.2f} TiB in 30 days",
        charts.bars("TiB archived per day in the last 30 days", labels, tib, "TiB"),
    )  # fmt: skip
    kind, means = trends.phase_times()
    if kind is None:
        return
    plotter, k, compression = kind
    most_s = max((value for values in means for value in values if value is not None), default=0)
    unit_s, unit = (_HOUR_S, "h") if most_s >= _HOUR_S else (60, "min") if most_s >= 60 else (1, "s")
    series = [
        (f"phase {number}", [None if value is None else value / unit_s for value in values[first:]])
        for number, values in enumerate(means, 1)
    ]
    what = f"{one_line(plotter, 30)} k{k or '?'}" + (f" C{compression}" if compression else "")
    yield Chart(
        f"Mean time of phases, {what}", f"up to {most_s / unit_s:.1f} {unit}",
        charts.lines("Mean time of each phase in the last 30 days", labels, series, unit),
        tuple(name for name, _ in series),
    )  # fmt: skip
