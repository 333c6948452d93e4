"""What every plotter program has in common: the values that describe a job, and the protocol `Plotter`.

A plotter module answers four questions, each with pure functions:

1. Which command makes a plot with these settings? `Plotter.argv`
2. Does this process plot, and with which options? `Plotter.recognise` -> `CommandLine`
3. What does its log say? `Plotter.recognise_log`, `Plotter.reader` -> `Progress`
4. Which files and how much space does a plot take? `Plotter.own_files`, `size_estimate`, `recipe`

`madmax.py` (1, 2, 4) and `madmax_log.py` (3) are the pair to copy; `registry.py` lists all plotters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from common.config.sections.plotting import Plotting
from common.model.phase import Phase
from common.model.snapshot import Recipe

NOT_BEGUN = Phase(0, 0)


class Mode(StrEnum):
    """Ways to make a plot that need different amounts of tmp space or memory."""

    CPU = "cpu"  # chia, chiapos, madMAx
    GPU = "gpu"  # Gigahorse's cuda_plot_*
    RAM = "ramplot"
    DISK = "diskplot"
    CUDA = "cudaplot"
    CUDA_DISK = "cudaplot with --disk-128 or --disk-16"


@dataclass(frozen=True)
class CommandLine:
    """What a plotter's argv says. Directories are absolute, normalised, without trailing slash.

    plotter: name of the `Plotter`.
    n: plots that this job makes; 0 or less: endless.
    tmp, tmp2, dst: None if the plotter uses no such directory (or memory: `@RAM`, `@HOST`). If an option is
        absent and the plotter uses another directory instead, that one.
    compression: level; None if absent.
    cwd: base of relative paths in the log; None if unknown.
    wrapper: this process only starts the plotter as its child (`chia plotters madmax` starts `chia_plot`).
        The child is the job; the wrapper must not be counted as a second one.
    """

    plotter: str
    k: int | None = None
    n: int = 1
    tmp: str | None = None
    tmp2: str | None = None
    dst: str | None = None
    compression: int | None = None
    mode: Mode = Mode.CPU
    cwd: str | None = None
    wrapper: bool = False


@dataclass(frozen=True)
class PlotDetails:
    """How a plot is made, as its log says. None: the log does not say.

    begun: by the plotter's own clock, without a time zone; to the second or the minute.
    bitfield: False with chia's -e; None for plotters without that option.
    """

    k: int | None = None
    compression: int | None = None
    tmp: str | None = None
    tmp2: str | None = None
    dst: str | None = None
    version: str | None = None
    threads: int | None = None
    buckets: int | None = None
    buffer_mib: int | None = None
    bitfield: bool | None = None
    begun: datetime | None = None
    mode: Mode = Mode.CPU


@dataclass(frozen=True)
class LoggedPlot:
    """What a log says about one plot, complete or not. Durations in seconds.

    copy_s: the copy to dst, if the plotter made and timed one.
    phase_times_s: phase -> seconds, of the completed phases.
    """

    plot_id: str | None = None
    total_s: float | None = None
    copy_s: float | None = None
    phase_times_s: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))
    details: PlotDetails = PlotDetails()


@dataclass(frozen=True)
class DonePlot(LoggedPlot):
    """A plot that is complete under its final name.

    path: the file; None if the log names it relative to an unknown directory.
    """

    path: str | None = None


@dataclass(frozen=True)
class Progress(LoggedPlot):
    """All that a log says until now. The inherited fields describe the current plot: the one being made, or
    the last one until the next begins.

    Of the current plot:
    phase: 0:0 until phase 1 begins.
    percent: 0 to 100; never decreases; 100 only when the plot is complete.
    final: path that the plot will have. Only from plotters that rename a plot when it is complete, so that a
        file of this name is a whole plot.

    Of the whole job:
    plots_done: in the order of completion.
    copying: ids of complete plots whose copy to dst still runs while the next plot is made.
    asked: number of plots that this job makes; 0 or less: endless; None: unknown.
    stalled: the plotter's message while it waits for space without end; None when it does not wait.
    error: the plotter's message when it gives up.
    proven: it reached phase 1, so the set-up works.
    finished: all `asked` plots are complete; if their number is unknown or endless, the last one begun is.
    """

    phase: Phase = NOT_BEGUN
    percent: float = 0.0
    final: str | None = None
    plots_done: tuple[DonePlot, ...] = ()
    copying: tuple[str, ...] = ()
    asked: int | None = None
    stalled: str | None = None
    error: str | None = None
    proven: bool = False
    finished: bool = False


@dataclass(frozen=True)
class SizeEstimate:
    """Bytes that one plot takes: the peaks in tmp and tmp2, and the finished plot in dst."""

    tmp_bytes: int
    tmp2_bytes: int
    dst_bytes: int


@dataclass(frozen=True)
class OwnFiles:
    """File names of a directory that belong to a job, by certainty. Finished plots are in neither group.

    certain: names that carry the job's plot id.
    by_directory: scratch files of this plotter whose names carry no plot id (bladebit diskplot and cudaplot,
        Gigahorse). They are this job's only if no other such job works in the same directory.
    """

    certain: tuple[str, ...] = ()
    by_directory: tuple[str, ...] = ()


class LogReader(Protocol):
    """Reads a log as it grows. Accepts any bytes in chunks of any size, and never raises."""

    def feed(self, data: bytes) -> None:
        """Read the next bytes. A line counts once its newline has arrived."""

    def end(self) -> None:
        """Count a last line without a newline. Only for the log of an ended process."""

    @property
    def progress(self) -> Progress:
        """The state after the last complete line."""

    def tail(self, count: int) -> str:
        """The last `count` lines without noise, an incomplete one included."""


class Plotter(Protocol):
    """One plotter program. A class with these members needs no base class."""

    name: str
    """As in `plotting.type` of plotman.yaml."""

    def argv(self, plotting: Plotting, tmp: str, tmp2: str | None, dst: str) -> list[str]:
        """Build the command that makes one plot in these directories."""

    def recognise(self, argv: Sequence[str], cwd: str | None) -> CommandLine | None:
        """Read a process's argv; None if it is another program or does not plot. Never raises."""

    def recognise_log(self, head: bytes) -> bool:
        """Whether this plotter wrote a log that begins with `head` (some KiB)."""

    def reader(self, command: CommandLine | None = None) -> LogReader:
        """Make a reader for the log of a job; None if its command line is unknown."""

    def own_files(self, names: Iterable[str], plot_id: str | None) -> OwnFiles:
        """Select the unfinished files of a job from the names in a tmp, tmp2 or dst directory."""

    def size_estimate(self, command: CommandLine) -> SizeEstimate | None:
        """Space that one plot of such a job takes; None if k is unknown."""

    def recipe(self, plotting: Plotting, separate_tmp2: bool) -> Recipe:
        """Space that the next plot takes. separate_tmp2: a tmp2 directory is configured."""
