"""The values that describe a job of any plotter program, and the spelling of plot names and paths."""

from __future__ import annotations

import os.path
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

from common.model.phase import Phase

NOT_BEGUN = Phase(0, 0)

# The id in a plot's file name. chia, chiapos and madMAx: `plot-k32-2026-11-22-11-28-<64 hex>`; with a level
# of compression bladebit writes `plot-k32-c07-...`, Gigahorse `plot-k32-c7-...` and `plot-mmx-k34-c1-...`.
# Of the new proof of space: `plot-k28-<64 hex>`.
PLOT_NAME = re.compile(
    r"plot-(?:mmx-)?k(?P<k>\d{1,2})-(?:c(?P<level>\d{1,2})-)?"
    r"(?:(?P<date>\d{4}(?:-\d\d){4})-)?(?P<id>[0-9a-f]{64})"
)


class Mode(StrEnum):
    """Ways to make a plot that need different amounts of tmp space or memory."""

    CPU = "cpu"  # chia, chiapos, madMAx
    GPU = "gpu"  # Gigahorse's cuda_plot_*
    RAM = "ramplot"
    DISK = "diskplot"
    CUDA = "cudaplot"
    CUDA_DISK = "cudaplot with --disk-128 or --disk-16"


_MOST_K = 99
MOST_PLOTS = 1 << 20  # of one job


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

    def __post_init__(self) -> None:
        """Any process may have any number in its argv: one that no plotter takes is unknown, or endless."""
        if self.k is not None and not 1 <= self.k <= _MOST_K:
            object.__setattr__(self, "k", None)
        if self.n > MOST_PLOTS:
            object.__setattr__(self, "n", 0)


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

    def as_row(self) -> dict[str, Any]:
        """Return what a row of the history takes over, by the names of its fields."""
        known = vars(self) | {"mode": None if self.mode is Mode.CPU else self.mode.value}
        return {name: value for name, value in known.items() if name != "begun"}


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
    counted: number of complete plots that the log states; it may name them later, or never.
    failures: (number, reason) of plots that failed while the job makes the others; the first is number 0.
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
    counted: int = 0
    failures: tuple[tuple[int, str], ...] = ()
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


def normal(path: str | None, cwd: str | None) -> str | None:
    """Make a path absolute, without trailing slash, `..` or doubled slashes; links are not followed.

    None for an absent path, for memory (`@RAM`, `@HOST`), and for a relative path without a cwd.
    """
    if not path or path.startswith("@") or "\0" in path:
        return None
    if not path.startswith("/"):
        if not cwd:
            return None
        path = f"{cwd}/{path}"
    # normpath keeps two leading slashes, as POSIX demands; no plotter means anything by them.
    return "/" + os.path.normpath(path).lstrip("/")


def parent(path: str) -> str:
    """Directory of a normal path."""
    return str(PurePosixPath(path).parent)
