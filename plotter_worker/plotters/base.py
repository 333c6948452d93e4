"""What all plotters have in common: the values that tell of a job, and what a plotter module offers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from common.config.plotting import Plotting
from common.model.phase import Phase
from common.model.snapshot import Recipe

NOT_BEGUN = Phase(0, 0)


class Mode(StrEnum):
    """Ways to make a plot that differ in the room they take."""

    CPU = "cpu"  # chia, chiapos, madMAx
    GPU = "gpu"  # Gigahorse's cuda_plot_*
    RAM = "ramplot"
    DISK = "diskplot"
    CUDA = "cudaplot"
    CUDA_DISK = "cudaplot with --disk-128 or --disk-16"


@dataclass(frozen=True)
class CommandLine:
    """What a plotter's argv says. Directories are absolute, normalised, without trailing slash.

    n: plots that this job makes; 0 or less: endless.
    tmp, tmp2, dst: None where the plotter uses none, or one that is no directory (`@RAM`, `@HOST`). Where
        the plotter itself falls back to another directory, that one.
    compression: level; None: none asked for.
    cwd: what relative paths in the log are relative to; None: not known.
    wrapper: this process only starts another one that plots (`chia plotters madmax` and its `chia_plot`).
        The child is the job; the wrapper must not be counted beside it.
    """

    plotter: str  # chia, chiapos, madmax, bladebit
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
class Details:
    """What a log tells of how a plot is made.

    begun: when, by the plotter's own clock, without a time zone; to the second or the minute.
    bitfield: False for chia's -e, None for plotters that know no such thing.
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
class DonePlot:
    """A plot that the log calls complete under its final name. Durations in seconds.

    path: the file; None where the log names it relative to a directory that is not known.
    copy_s: the copy to dst, where the plotter made and timed one.
    """

    plot_id: str | None
    path: str | None = None
    total_s: float | None = None
    copy_s: float | None = None
    phase_times_s: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))
    details: Details = Details()


@dataclass(frozen=True)
class Progress:
    """All that a log told so far. Apart from the last eight fields, of the plot being made; once that is
    done the values stand until the next one begins.

    asked: plots that this job makes, as far as command line or log say; 0 or less: endless.

    phase: 0:0 until phase 1 begins.
    percent: 0 to 100 of this plot; never goes back within it; 100 only when it is done.
    final: path that the plot will have, known some way into it; only from plotters that give a plot its
        name when it is complete: a file of this name is a whole plot.
    phase_times_s: phase -> seconds, of the phases that are over.
    stalled: the plotter's own words for what it endlessly waits for; None again when it went on.
    error: the plotter's own words for why it gives up.
    proven: it got as far as phase 1.
    finished: every plot asked for is complete under its final name; where their number is not known or
        endless, the last one begun.
    copying: ids of plots that are made, and are still being copied to dst while the next one is made.
    """

    plot_id: str | None = None
    k: int | None = None
    compression: int | None = None
    phase: Phase = NOT_BEGUN
    percent: float = 0.0
    tmp: str | None = None
    tmp2: str | None = None
    dst: str | None = None
    final: str | None = None
    phase_times_s: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))
    total_s: float | None = None
    copy_s: float | None = None
    plots_done: tuple[DonePlot, ...] = ()
    stalled: str | None = None
    asked: int | None = None
    error: str | None = None
    proven: bool = False
    finished: bool = False
    copying: tuple[str, ...] = ()
    details: Details = Details()


@dataclass(frozen=True)
class Room:
    """Bytes that one plot takes: the peaks in tmp and tmp2, and the finished plot in dst."""

    tmp_bytes: int
    tmp2_bytes: int
    dst_bytes: int


@dataclass(frozen=True)
class OwnFiles:
    """File names of a listing, by how sure it is whose they are. Finished plots are in neither.

    certain: they carry the plot id: this job's, in whatever directory.
    by_directory: this plotter's scratch files, whose names say nothing of the plot (bladebit diskplot and
        cudaplot, Gigahorse). This job's only if no other such job works in the same directory.
    """

    certain: tuple[str, ...] = ()
    by_directory: tuple[str, ...] = ()


class LogReader(Protocol):
    """Reads a log as it grows. Takes any chunking, any bytes, and never raises."""

    def feed(self, data: bytes) -> None:
        """Take the bytes that follow those already given. A line counts once its end is there."""

    def end(self) -> None:
        """Nothing follows: count a last line without a newline. Only for the log of an ended process."""

    @property
    def progress(self) -> Progress:
        """What the complete lines so far told."""

    def tail(self, count: int) -> str:
        """The last lines, one still incomplete included, without those that are mere noise."""


class Plotter(Protocol):
    """One plotter program: all that is particular to it."""

    name: str

    def argv(self, plotting: Plotting, tmp: str, tmp2: str | None, dst: str) -> list[str]:
        """The command that makes one plot."""

    def recognise(self, argv: Sequence[str], cwd: str | None) -> CommandLine | None:
        """What this process does; None if it is not this plotter, or not plotting. Never raises."""

    def recognise_log(self, head: bytes) -> bool:
        """Whether a log that begins so (some KiB) was written by this plotter."""

    def reader(self, command: CommandLine | None = None) -> LogReader:
        """A reader for the log of that job; None: of a job whose command line is not known."""

    def own_files(self, names: Iterable[str], plot_id: str | None) -> OwnFiles:
        """Which of these names in a tmp, tmp2 or dst directory are unfinished files of this job."""

    def room(self, command: CommandLine) -> Room | None:
        """What one plot of such a job takes; None if k is not known."""

    def recipe(self, plotting: Plotting, separate_tmp2: bool) -> Recipe:
        """What the next plot takes; separate_tmp2: a tmp2 directory is configured."""
