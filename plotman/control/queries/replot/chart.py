"""The chart of `plotman replot plan`. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from common.model.units import sparkline
from plotman.control.queries.replot.plan import PlanAnswer
from plotman.control.queries.replot.tables import date_text


def chart_lines(answer: PlanAnswer) -> Iterator[str]:
    """The weight of old and new plots over time; nothing if the fork is not known."""
    chart = answer.chart
    if chart is None or not chart.planned:
        return
    rows = {
        "old": [weight.old for weight in chart.planned],
        "new": [weight.new for weight in chart.planned],
        "both": [weight.sum for weight in chart.planned],
        "unchanged": [weight.sum for weight in chart.unchanged],
    }
    if answer.spans is None:
        rows = {"unchanged": rows["unchanged"]}
    top = max(1.0, *(max(row) for row in rows.values()))
    begin, end = (date_text(answer, day) for day in (chart.days[0], chart.days[-1]))
    per_column = (chart.days[-1] - chart.days[0]) / (len(chart.days) - 1)
    yield (
        f"What these plots and the new ones farm, from {begin} to {end}, {per_column:.1f} days a column "
        "(highest: as the old plots today)"
    )
    for name, row in rows.items():
        yield f"{name:<10}{sparkline(row, top)}"
