"""The state of a log while it is read: the current plot, the complete ones, and what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import IntEnum
from types import MappingProxyType
from typing import Any

from common.model.phase import Phase
from common.model.units import plausible_s
from plotter_worker.plotters.base import NOT_BEGUN, PLOT_NAME, DonePlot, Mode, PlotDetails, Progress, normal


class Weight(IntEnum):
    """How much an error message explains. A weaker one never replaces a stronger one."""

    CONSEQUENCE = 0  # "Aborted!"
    TRACEBACK = 1
    CAUSE = 2  # the plotter's own message


@dataclass
class Plot:
    """One plot of the log. For the other fields see `base.Progress` and `base.PlotDetails`.

    name: file name without directory and ending.
    path: where the log says that the complete plot is.
    """

    plot_id: str | None = None
    name: str | None = None
    k: int | None = None
    compression: int | None = None
    phase: Phase = NOT_BEGUN
    percent: float = 0.0
    tmp: str | None = None
    tmp2: str | None = None
    dst: str | None = None
    final: str | None = None
    phase_times_s: dict[int, float] = field(default_factory=dict)
    total_s: float | None = None
    copy_s: float | None = None
    path: str | None = None
    done: bool = False
    begun: datetime | None = None
    bitfield: bool | None = None


# Lines about a complete plot, such as its total time, follow before this many others are complete.
_RECENT = 20


@dataclass
class PlotLogState:
    """Changed by the handlers of a plotter's rules, line by line. `progress` makes a frozen copy.

    cwd: base of relative paths. asked: as in `base.Progress`.
    mode: of a plotter that has several.
    begun: number of plots begun.
    copying: file name -> plot whose copy runs while the next plot is made.
    version, threads, buckets, buffer_mib: of the job, the same for all its plots.
    done_ids: of the plots in `done`.
    counted: as in `base.Progress`. failures: of the plots that failed, number -> reason.
    more_may_follow: while `asked` is unknown, complete plots do not finish the job.
    names_are_unsure: names that follow may be of plots that failed.
    stalled_copy: name of the plot whose copy stalls while the next plot is made.
    """

    cwd: str | None
    asked: int | None
    mode: Mode = Mode.CPU
    plot: Plot = field(default_factory=Plot)
    begun: int = 0
    proven: bool = False
    done: list[Plot] = field(default_factory=list)
    done_ids: set[str] = field(default_factory=set)
    counted: int = 0
    failures: dict[int, str] = field(default_factory=dict)
    more_may_follow: bool = False
    names_are_unsure: bool = False
    copying: dict[str, Plot] = field(default_factory=dict)
    version: str | None = None
    threads: int | None = None
    buckets: int | None = None
    buffer_mib: int | None = None
    stalled: str | None = None
    stalled_copy: str | None = None
    error: str | None = None
    _weight: Weight = Weight.CONSEQUENCE
    _settled: tuple[DonePlot, ...] = ()
    _take_error: Callable[[str], bool] | None = None

    def path(self, text: str) -> str | None:
        """Make a path of the log absolute."""
        return normal(text, self.cwd)

    def begin_plot(self) -> None:
        """Begin a new plot in the directories of the previous one, until the log names others."""
        old = self.plot
        self.plot = Plot(tmp=old.tmp, tmp2=old.tmp2, dst=old.dst, compression=old.compression)
        self.begun += 1

    def reach(self, phase: Phase, percent: float | None = None) -> None:
        """Advance the current plot. Neither phase nor percent ever decreases."""
        self.plot.phase = max(self.plot.phase, phase)
        if percent is not None:
            self.plot.percent = max(self.plot.percent, float(min(percent, 100)))
        if phase.major >= 1:
            self.proven = True

    def set_name(self, path: str) -> None:
        """Read plot id, k, compression and time from a path that contains the plot's file name."""
        match = PLOT_NAME.search(path)
        if not match:
            return
        self.plot.name = match[0]
        self.plot.plot_id = match["id"]
        self.plot.k = int(match["k"])
        if match["level"]:
            self.plot.compression = int(match["level"])
        if self.plot.begun is None and match["date"]:
            self.plot.begun = time_of(match["date"], "%Y-%m-%d-%H-%M")

    def complete(self, plot: Plot, path: str | None) -> None:
        """Count a plot that has its final name; once, even if two lines say so."""
        if path:
            plot.path = path
        plot.percent = 100.0
        if not plot.done:
            plot.done = True
            self.done.append(plot)
            if plot.plot_id:
                self.done_ids.add(plot.plot_id)
        if plot.name:
            self.copying.pop(plot.name, None)
            if self.stalled_copy == plot.name:
                self.stalled = self.stalled_copy = None

    def reopen(self, plot: Plot) -> None:
        """Take back `complete`: the plot's copy only begins now."""
        if plot.done:
            plot.done = False
            plot.percent = 99.0
            self.done.remove(plot)
            self.done_ids.discard(plot.plot_id or "")
            self._settled = self._settled[: len(self.done)]

    def stall(self, message: str, plot_name: str | None = None) -> None:
        """Note that the plotter waits for space. plot_name: only the copy of that plot waits, so that lines
        about other plots do not end the stall."""
        self.stalled = message
        self.stalled_copy = plot_name

    def end_stall(self) -> None:
        """Note that another line came."""
        if self.stalled_copy is None:
            self.stalled = None

    def fail(self, message: str, weight: Weight = Weight.CAUSE) -> None:
        """Keep an error message unless a stronger one is known."""
        if self.error is None or weight >= self._weight:
            self.error = " ".join(message.split())
            self._weight = weight

    def expect_error(self, take: Callable[[str], bool]) -> None:
        """Call `take` with each following line, indentation included, until it returns False."""
        self._take_error = take

    @property
    def expects_error(self) -> bool:
        return self._take_error is not None

    def continue_error(self, line: str) -> None:
        take, self._take_error = self._take_error, None  # no longer, if it raises
        if take and take(line) and self._take_error is None:
            self._take_error = take

    def progress(self) -> Progress:
        """A frozen copy."""
        plot = self.plot
        return Progress(
            **self._fields(plot),
            phase=plot.phase,
            percent=plot.percent,
            final=plot.final,
            plots_done=self._plots_done(),
            counted=self.counted,
            failures=tuple(self.failures.items()),
            copying=tuple(each.plot_id for each in self.copying.values() if each.plot_id),
            asked=self.asked,
            stalled=self.stalled,
            error=self.error,
            proven=self.proven,
            finished=self._finished(),
        )

    def _finished(self) -> bool:
        if self.asked is not None and self.asked > 0:
            return len(self.done) >= self.asked
        return bool(self.done) and self.plot.done and not self.copying and not self.more_may_follow

    def _plots_done(self) -> tuple[DonePlot, ...]:
        """All but the last ones are converted once: a job may have thousands, and each line asks for all."""
        settled = len(self._settled)
        recent = [DonePlot(**self._fields(each), path=each.path) for each in self.done[settled:]]
        plots = (*self._settled, *recent)
        if len(recent) > 2 * _RECENT:
            self._settled = plots[:-_RECENT]
        return plots

    def _fields(self, plot: Plot) -> dict[str, Any]:
        """Arguments of `base.LoggedPlot`."""
        details = {one.name: getattr(plot if hasattr(plot, one.name) else self, one.name) for one in _DETAILS}
        return {
            "plot_id": plot.plot_id,
            "total_s": plausible_s(plot.total_s),
            "copy_s": plausible_s(plot.copy_s),
            "phase_times_s": MappingProxyType(
                {phase: s for phase, s in plot.phase_times_s.items() if plausible_s(s) is not None}
            ),
            "details": PlotDetails(**details),
        }


_DETAILS = fields(PlotDetails)


def time_of(text: str, layout: str) -> datetime | None:
    """Parse a plotter's time, which has no time zone; None if it does not fit `layout`, or is absurd."""
    try:
        at = datetime.strptime(text, layout)  # noqa: DTZ007  the plotter prints no zone
    except ValueError:
        return None
    return at if 1970 < at.year < 2200 else None
