"""Percent and ETA of a plot, by how long the host's own plots of the same kind took. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from common.history.rows import END_STEP, End, PlotEnd
from common.model.phase import Phase

_NEWEST = 5  # plots that a median is taken of: an outlier or two among them change little
# How much of a plot must be made before its own speed counts as much as the speed of the former plots.
_TRUST = 0.25
_SHORTEST_S = 0.1  # no plot takes less; sums of shorter ones are not exact
_MOST_PERCENT = 99.0  # until the log says that the plot is complete


class Kind(NamedTuple):
    """Plots that take about the same time. tmp: None for plots in any directory."""

    plotter: str
    mode: str | None
    k: int | None
    compression: int | None
    tmp: str | None

    @property
    def anywhere(self) -> Kind:
        return self._replace(tmp=None)


@dataclass(frozen=True)
class Timeline:
    """When the steps of a plot began and when it ended, in seconds from its start without idle time.

    steps: ordered by phase and by time.
    """

    steps: tuple[tuple[Phase, float], ...]
    end_s: float


@dataclass(frozen=True)
class Estimate:
    """percent: 0 to 99."""

    percent: float
    eta_s: float


@dataclass(frozen=True)
class Shown:
    """The percent that is shown of a plot. It never decreases.

    plot_id: None until its log says it.
    percent: 0 to 99; 100 once the plot is complete.
    by: what the estimates are made from; None: the weights of the plotter's phases.
    estimate: the largest one made from it; None: not known, as after a restart.
    """

    plot_id: str | None = None
    percent: float = 0.0
    by: Timeline | None = None
    estimate: float | None = None

    def then(self, plot_id: str | None, by: Timeline | None, estimate: float, complete: bool) -> Shown:
        """What is shown next.

        A source of estimates that says less than is shown, as when a host has learned how long its plots
        take, does not move the bar back: what it says is left is then spread over what is left of the bar.

        Args:
            plot_id: of the present plot; another one begins anew.
            by: what the estimate was made from.
            estimate: 0 to 100.
            complete: whether the plot is complete.
        """
        most = 100.0 if complete else _MOST_PERCENT
        if self.plot_id not in (None, plot_id):
            return Shown(plot_id, min(estimate, most), by, estimate)
        before = self.estimate if by == self.by else None
        if before is None or before >= 100:
            before = estimate
        highest, percent = max(before, estimate), self.percent
        if highest > before:
            percent = 100 - (100 - percent) * (100 - highest) / (100 - before)
        return Shown(plot_id, max(self.percent, min(max(percent, estimate), most)), by, highest)


def estimate(learned: Timeline, reached: Mapping[Phase, float], phase: Phase, spent_s: float) -> Estimate:
    """Estimate a plot's percent and remaining time.

    Between two known steps percent grows with time, and stops at the next one. It never decreases while
    `spent_s` and `phase` grow.

    Args:
        learned: how long plots of its kind take.
        reached: when its steps began, in seconds from its start; may lack some.
        phase: the step that it is at.
        spent_s: seconds from its start, without idle time.
    """
    begun, begun_s, next_s = _step_at(learned, phase)
    times = [at_s for step, at_s in reached.items() if begun is not None and step >= begun]
    at_s = min([spent_s, *times]) if times else min(begun_s, spent_s)
    trust_s = _TRUST * learned.end_s
    pace = (at_s + trust_s) / (begun_s + trust_s)
    here_s = begun_s + (spent_s - at_s) / pace
    done_s = min(here_s, next_s)
    # Nothing says when a step ends that is overdue: as much time again as it is late.
    left_s = learned.end_s - done_s + (here_s - done_s)
    eta_s = left_s * (spent_s + trust_s) / (here_s + trust_s)
    return Estimate(min(100 * done_s / learned.end_s, _MOST_PERCENT), max(0.0, eta_s))


def estimate_batch(
    done: int, asked: int, spent_s: float, last_s: float, one_s: float | None
) -> Estimate | None:
    """Estimate the percent and remaining time of a job that makes several plots without telling their phases.

    Args:
        done: plots that are complete.
        asked: plots that the job makes.
        spent_s: seconds since its start, without idle time.
        last_s: of these, until the last of `done` was complete.
        one_s: how long a plot takes, as former jobs show; None: not known.

    Returns:
        None before the first plot, if it is not known how long one takes.
    """
    each_s = last_s / done if done and last_s > 0 else one_s
    if not each_s:
        return Estimate(100 * done / asked, 0.0) if done >= asked else None
    since_s = spent_s - last_s if done else spent_s
    inside = min(max(0.0, since_s) / each_s, 0.99) if done < asked else 0.0
    return Estimate(100 * (done + inside) / asked, max(0.0, each_s * (asked - done - inside)))


def _step_at(learned: Timeline, phase: Phase) -> tuple[Phase | None, float, float]:
    """The last step up to `phase`, when it begins, and when the next does."""
    begun: tuple[Phase | None, float] = (None, 0.0)
    for step, at_s in learned.steps:
        if step > phase:
            return *begun, at_s
        begun = step, at_s
    return *begun, learned.end_s


def median_of(timelines: Collection[Timeline]) -> Timeline:
    """The median of each step that all of them have."""
    tables = [dict(each.steps) for each in timelines]
    common = sorted(set.intersection(*map(set, tables)))
    steps = tuple((step, median(table[step] for table in tables)) for step in common)
    return Timeline(steps, median(each.end_s for each in timelines))


def timeline_of(plot: PlotEnd) -> Timeline | None:
    """A finished plot's timeline; None if its row does not give one, or only with idle time in it."""
    if plot.steps_s is None:
        return _of_phases(plot)
    return _timeline(
        {Phase.parse(name): at_s for name, at_s in plot.steps_s.items() if name != END_STEP},
        plot.steps_s.get(END_STEP, 0.0),
    )


def _of_phases(plot: PlotEnd) -> Timeline | None:
    """By the durations in the plotter's log, which has no times of steps."""
    durations = (plot.phase1_s, plot.phase2_s, plot.phase3_s, plot.phase4_s)
    made_s = sum(filter(None, durations))
    total_s = plot.total_s or made_s
    end_s = plot.wall_s or total_s + (plot.copy_s or 0.0)
    if plot.phase1_s is None:
        return None
    at_s = max(0.0, end_s - total_s - (plot.copy_s or 0.0))
    steps = {Phase(1, 0): at_s}
    for phase, took_s in enumerate(durations, 1):
        if took_s is None:
            break
        at_s += took_s
        steps[Phase(phase + 1, 0)] = at_s
    return _timeline(steps, max(end_s, at_s))


def _timeline(steps: Mapping[Phase, float], end_s: float) -> Timeline | None:
    """None if a plot cannot take that long."""
    if end_s < _SHORTEST_S:
        return None
    # A phase begins with the first of its steps that the log shows.
    begun = dict(steps)
    for step, at_s in steps.items():
        first = Phase(step.major, 0)
        begun[first] = min(at_s, begun.get(first, at_s))
    ordered, latest_s = [], 0.0
    # Before phase 1, as while its program is loaded, a plot is at 0:0 from its start, whatever its log says.
    for step in sorted(step for step in begun if step.major):
        latest_s = min(max(latest_s, begun[step]), end_s)
        ordered.append((step, latest_s))
    return Timeline(tuple(ordered), end_s)


class LearnedPlots:
    """The timelines of a host's newest plots. One thread adds, all may read."""

    def __init__(self) -> None:
        self._plots: dict[Kind, dict[str, Timeline]] = {}
        self._medians: dict[Kind, Timeline] = {}

    def add(self, plot: PlotEnd) -> None:
        """Learn from a plot that is newer than those before. A plot that is known already changes nothing."""
        timeline = timeline_of(plot) if plot.end is End.DONE else None
        if timeline is None:
            return
        kind = Kind(plot.plotter, plot.mode, plot.k, plot.compression, plot.tmp)
        for each in {kind, kind.anywhere}:
            plots = self._plots.setdefault(each, {})
            plots.setdefault(plot.key, timeline)
            while len(plots) > _NEWEST:
                del plots[next(iter(plots))]
            self._medians[each] = median_of(plots.values())

    def of(self, kind: Kind) -> Timeline | None:
        """How long such plots take: in this tmp directory, or else in any; None if none was made yet."""
        return self._medians.get(kind) or self._medians.get(kind.anywhere)
