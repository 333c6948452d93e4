"""What a log told so far, while it is being read: the plot being made, those made, and what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from types import MappingProxyType

from common.model.phase import Phase
from plotter_worker.plotters.base import NOT_BEGUN, Details, DonePlot, Mode, Progress
from plotter_worker.plotters.paths import PLOT_NAME, normal


class Weight(IntEnum):
    """How telling an error is; a weaker one never replaces a stronger one."""

    CONSEQUENCE = 0  # "Aborted!"
    TRACEBACK = 1
    CAUSE = 2  # the plotter's own message


@dataclass
class Plot:
    """A plot in the making. `proper_name`: the plotter gives its file the final name only when complete."""

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
    path: str | None = None  # where the log says that it lies complete
    done: bool = False
    begun: datetime | None = None  # by the plotter's own clock
    bitfield: bool | None = None


@dataclass
class PlotLogState:
    """Told by the handlers of a plotter's rules, line by line.

    cwd: for relative paths. asked: plots this job makes; None: not known; 0 or less: endless.
    mode: in which a plotter of several modes writes this log.
    """

    cwd: str | None
    asked: int | None
    mode: Mode = Mode.CPU
    plot: Plot = field(default_factory=Plot)
    begun: int = 0
    proven: bool = False
    done: list[Plot] = field(default_factory=list)
    copying: dict[str, Plot] = field(default_factory=dict)  # by name, plots whose copy runs beside the next
    version: str | None = None  # of the plotter; this and what follows holds for all plots of the job
    threads: int | None = None
    buckets: int | None = None
    buffer_mib: int | None = None
    stalled: str | None = None
    stall_lasts_for: str | None = None  # name of the plot whose copy stalls, while the next is being made
    error: str | None = None
    _weight: Weight = Weight.CONSEQUENCE
    _reading: Callable[[str], bool] | None = None

    def path(self, text: str) -> str | None:
        return normal(text, self.cwd)

    def begin(self) -> None:
        """A new plot begins, in the directories of the one before until the log says otherwise. What is
        still told of that one concerns only its copy."""
        old = self.plot
        self.plot = Plot(tmp=old.tmp, tmp2=old.tmp2, dst=old.dst, compression=old.compression)
        self.begun += 1

    def reach(self, phase: Phase, percent: float | None = None) -> None:
        """Phase and percent never go back within a plot."""
        self.plot.phase = max(self.plot.phase, phase)
        if percent is not None:
            self.plot.percent = max(self.plot.percent, float(min(percent, 100)))
        if phase.major >= 1:
            self.proven = True

    def named(self, name: str) -> None:
        """The plot's file is called so (without directory; the ending does not matter)."""
        match = PLOT_NAME.search(name)
        if not match:
            return
        self.plot.name = match[0]
        self.plot.plot_id = match["id"]
        self.plot.k = int(match["k"])
        if match["level"]:
            self.plot.compression = int(match["level"])
        if self.plot.begun is None:
            self.plot.begun = time_of(match["date"], "%Y-%m-%d-%H-%M")

    def phase_took(self, phase: int, seconds: str) -> None:
        self.plot.phase_times_s[phase] = float(seconds)

    def complete(self, plot: Plot, path: str | None) -> None:
        """This plot has its final name. Told twice it counts once."""
        if path:
            plot.path = path
        plot.percent = 100.0
        if not plot.done:
            plot.done = True
            self.done.append(plot)
        if plot.name:
            self.copying.pop(plot.name, None)
            if self.stall_lasts_for == plot.name:
                self.stalled = self.stall_lasts_for = None

    def reopen(self, plot: Plot) -> None:
        """What looked complete is not: its copy begins only now."""
        if plot.done:
            plot.done = False
            plot.percent = 99.0
            self.done.remove(plot)

    def stall(self, words: str, plot_name: str | None = None) -> None:
        """It waits until somebody makes room. plot_name: it is the copy of that plot that waits, and
        lines about other plots say nothing of it."""
        self.stalled = words
        self.stall_lasts_for = plot_name

    def goes_on(self) -> None:
        """Another line came: what it waited for has passed."""
        if self.stall_lasts_for is None:
            self.stalled = None

    def fail(self, words: str, weight: Weight = Weight.CAUSE) -> None:
        if self.error is None or weight >= self._weight:
            self.error = " ".join(words.split())
            self._weight = weight

    def error_follows(self, take: Callable[[str], bool]) -> None:
        """The words of an error are on a line to come. take: given each line with its indentation, returns
        whether it still waits."""
        self._reading = take

    @property
    def expects_error(self) -> bool:
        return self._reading is not None

    def continue_error(self, line: str) -> None:
        if self._reading and not self._reading(line):
            self._reading = None

    def progress(self) -> Progress:
        plot = self.plot
        return Progress(
            plot_id=plot.plot_id,
            k=plot.k,
            compression=plot.compression,
            phase=plot.phase,
            percent=plot.percent,
            tmp=plot.tmp,
            tmp2=plot.tmp2,
            dst=plot.dst,
            final=plot.final,
            phase_times_s=MappingProxyType(dict(plot.phase_times_s)),
            total_s=plot.total_s,
            copy_s=plot.copy_s,
            plots_done=tuple(self._done(each) for each in self.done),
            stalled=self.stalled,
            asked=self.asked,
            error=self.error,
            proven=self.proven,
            finished=self._finished(),
            copying=tuple(each.plot_id for each in self.copying.values() if each.plot_id),
            details=self._details(plot),
        )

    def _finished(self) -> bool:
        if self.asked is not None and self.asked > 0:
            return len(self.done) >= self.asked
        return bool(self.done) and self.plot.done and not self.copying

    def _done(self, plot: Plot) -> DonePlot:
        return DonePlot(
            plot_id=plot.plot_id,
            path=plot.path,
            total_s=plot.total_s,
            copy_s=plot.copy_s,
            phase_times_s=MappingProxyType(dict(plot.phase_times_s)),
            details=self._details(plot),
        )

    def _details(self, plot: Plot) -> Details:
        return Details(
            k=plot.k,
            compression=plot.compression,
            tmp=plot.tmp,
            tmp2=plot.tmp2,
            dst=plot.dst,
            version=self.version,
            threads=self.threads,
            buckets=self.buckets,
            buffer_mib=self.buffer_mib,
            bitfield=plot.bitfield,
            begun=plot.begun,
            mode=self.mode,
        )


def time_of(text: str, layout: str) -> datetime | None:
    """A time as a plotter prints it, without a time zone; None where it is none."""
    try:
        return datetime.strptime(text, layout)  # noqa: DTZ007  the plotter tells no zone
    except ValueError:
        return None
