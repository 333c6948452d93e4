"""How long plots took: `plotman analyze`. Pure.

Plots of different plotters, ks or compressions are averaged together only on request: their times are not
comparable.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from common.history.rows import PlotEnd
from plotman.control.queries.tables import PlainTable

# What --by can separate plots by.
_WORD_OF: dict[str, Callable[[PlotEnd], str]] = {
    "host": lambda plot: plot.host or "?",
    "tmp": lambda plot: plot.tmp or "?",
    "tmp2": lambda plot: plot.tmp2 or "?",
    "dst": lambda plot: plot.dst or "?",
    "plotter": lambda plot: f"{plot.plotter} {plot.mode}" if plot.mode else plot.plotter,
    "k": lambda plot: "?" if plot.k is None else str(plot.k),
    "compression": lambda plot: str(plot.compression or 0),
    "version": lambda plot: plot.version or "?",
    "bitfield": lambda plot: {True: "bitfield", False: "nobitfield", None: "?"}[plot.bitfield],
}
ALWAYS = ("plotter", "k", "compression")

_MEASURES: dict[str, Callable[[PlotEnd], float | None]] = {
    **{f"phase {number}": attrgetter(f"phase{number}_s") for number in (1, 2, 3, 4)},
    "total": attrgetter("total_s"),
    "copy": attrgetter("copy_s"),
}
_LEAST_FOR_TREND = 4


@dataclass(frozen=True)
class Measure:
    """Statistics of one duration, in seconds. count: plots with a known value. stdev_s: None for one plot."""

    count: int
    mean_s: float
    median_s: float
    stdev_s: float | None


@dataclass(frozen=True)
class Slice:
    """Plots that are equal in each property of the analysis. words: the values of these properties.

    last: number of newest plots in the trend. trend: how much longer their mean total is than the mean of the
    plots before, as a fraction (0.05: by 5 %); None if there are too few.
    """

    words: tuple[str, ...]
    count: int
    measures: dict[str, Measure]
    last: int
    trend: float | None


@dataclass(frozen=True)
class Analysis:
    """The slices. by: the properties that separate them."""

    by: tuple[str, ...]
    slices: tuple[Slice, ...]

    def as_json(self) -> dict[str, Any]:
        """`plotman analyze --json`: documented in docs/cli.md; keys are only ever added."""
        return {
            "version": 1,
            "by": list(self.by),
            "slices": [
                {
                    "slice": dict(zip(self.by, each.words, strict=True)),
                    "plots": each.count,
                    "measures": {name: vars(measure) for name, measure in each.measures.items()},
                    "last": each.last,
                    "trend": each.trend,
                }
                for each in self.slices
            ],
        }


def analyse(plots: Iterable[PlotEnd], by: Sequence[str] = (), mix: bool = False, last: int = 10) -> Analysis:
    """Group complete plots into slices and compute their statistics.

    by: words of _WORD_OF that separate plots beside ALWAYS; mix: separate by them only. last: number of
    newest plots of each slice that its trend compares.
    """
    words = tuple(dict.fromkeys((*(() if mix else ALWAYS), *by)))
    plots = sorted(plots, key=lambda plot: plot.ended_at)
    if "compression" not in by and not any(plot.compression for plot in plots):
        words = tuple(word for word in words if word != "compression")  # not requested, and 0 for all
    found: dict[tuple[str, ...], list[PlotEnd]] = {}
    for plot in plots:
        found.setdefault(tuple(_WORD_OF[word](plot) for word in words), []).append(plot)
    return Analysis(words, tuple(_slice(key, alike, last) for key, alike in sorted(found.items())))


def table(analysis: Analysis) -> PlainTable:
    """Make the table: 0.5.3's columns (sample size, mean, deviation), then new ones."""
    unit_s, unit = _unit(analysis.slices)
    median = f"median total ({unit})"

    def row(each: Slice) -> tuple[str, ...]:
        total = each.measures.get("total")
        return (
            *each.words,
            str(each.count),
            *(_cell(each.measures.get(name), unit_s) for name in _MEASURES),
            f"{total.median_s / unit_s:.2f}" if total else "",
            "?" if each.trend is None else f"{each.trend:+.1%} (last {each.last})",
        )

    measures = [f"{name} ({unit})" for name in _MEASURES]
    spare = (*(measure for measure in measures[::-1] if not measure.startswith("total")), median)
    columns = (*analysis.by, "n", *measures, median, "trend")
    rows = tuple(map(row, analysis.slices))
    return PlainTable(columns, rows, right=frozenset({"n", median}), spare=spare)


def _slice(words: tuple[str, ...], plots: list[PlotEnd], last: int) -> Slice:
    """plots: oldest first."""
    measures = {}
    for name, seconds_of in _MEASURES.items():
        values = [seconds for plot in plots if (seconds := seconds_of(plot)) is not None]
        if values:
            measures[name] = Measure(
                count=len(values),
                mean_s=statistics.fmean(values),
                median_s=statistics.median(values),
                stdev_s=statistics.stdev(values) if len(values) > 1 else None,
            )
    totals = [plot.total_s for plot in plots if plot.total_s is not None]
    last = min(last, len(totals) // 2)
    return Slice(words, len(plots), measures, last, _trend(totals, last))


def _trend(totals: list[float], last: int) -> float | None:
    if len(totals) < _LEAST_FOR_TREND or last < 1:
        return None
    before = statistics.fmean(totals[:-last])
    return statistics.fmean(totals[-last:]) / before - 1 if before > 0 else None


def _unit(slices: Iterable[Slice]) -> tuple[float, str]:
    """Choose the unit: hours, as in 0.5.3; a smaller one if the quickest plots would show zeros."""
    least_s = min(
        (each.measures["total"].mean_s for each in slices if "total" in each.measures), default=3600
    )
    return (3600, "h") if least_s >= 3600 else (60, "min") if least_s >= 600 else (1, "s")


def _cell(measure: Measure | None, unit_s: float) -> str:
    if measure is None:
        return ""
    mean = f"μ={measure.mean_s / unit_s:.2f}"
    return mean if measure.stdev_s is None else f"{mean} σ={measure.stdev_s / unit_s:.2f}"
