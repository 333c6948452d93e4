"""The base class of every plotter program.

A plotter module answers four questions, each with pure functions:

1. Which command makes a plot with these settings? `Plotter.argv`
2. Does this process plot, and with which options? `Plotter.recognise` -> `CommandLine`
3. What does its log say? `Plotter.marks`, `rules`, `noise` -> `Progress`
4. Which files and how much space does a plot take? `Plotter.anonymous`, `space`

`madmax.py` is the module to copy; `registry.py` lists all plotters. A plotter of another package is the same
class, reached by an entry point (`api.py`).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from common.config.sections.plotter_packages import PlotterOptions
from common.config.sections.plotting import Plotting
from common.model.snapshot import Recipe
from plotter_worker.plotters.base import CommandLine, Mode, OwnFiles, SizeEstimate
from plotter_worker.plotters.log_parser import LogReader, Rules

_PLOT_ID = re.compile(r"[0-9a-f]{64}\Z")


class Plotter(ABC):
    """One plotter program.

    name: as in `plotting.type` of plotman.yaml.
    marks: a log with one of these in its first KiB is of this plotter.
    rules: of its log.
    batch: one job makes several plots without phases: percent and ETA are of the job.
    noise: lines of the log that begin so are skipped.
    anonymous: names of its scratch files that carry no plot id.
    secret_options: plots' private keys follow from their values, which are neither shown nor stored.
    options: model of the section `plotting.NAME`; only of a plotter in another package.
    """

    name: str
    options: type[PlotterOptions]
    batch = False
    marks: tuple[bytes, ...]
    rules: Rules
    noise: bytes | None = None
    anonymous: re.Pattern[str] | None = None
    secret_options: tuple[str, ...] = ()

    @abstractmethod
    def argv(self, plotting: Plotting, tmp: str, tmp2: str | None, dst: str) -> list[str]:
        """Build the command of one job in these directories."""

    @abstractmethod
    def recognise(self, argv: Sequence[str], cwd: str | None) -> CommandLine | None:
        """Read a process's argv; None if it is another program or does not plot. Never raises."""

    @abstractmethod
    def space(self, k: int, compression: int | None, mode: Mode, separate_tmp2: bool) -> SizeEstimate:
        """Space that one plot takes. separate_tmp2: tmp2 is another directory than tmp."""

    def mode_of(self, plotting: Plotting) -> Mode:  # noqa: ARG002
        """The mode of plots with these settings."""
        return Mode.CPU

    def plots_per_job(self, plotting: Plotting) -> int:  # noqa: ARG002
        """How many plots the command of `argv` makes."""
        return 1

    def uses_gpu(self, mode: Mode) -> bool:
        """Whether plots of this mode are made on a GPU."""
        return mode in (Mode.GPU, Mode.CUDA, Mode.CUDA_DISK)

    def recognise_log(self, head: bytes) -> bool:
        """Whether this plotter wrote a log that begins with `head` (some KiB)."""
        return any(mark in head for mark in self.marks)

    def reader(self, command: CommandLine | None = None) -> LogReader:
        """Make a reader for the log of a job; None if its command line is unknown."""
        return LogReader(self.rules, command, self.noise)

    def own_files(self, names: Iterable[str], plot_id: str | None) -> OwnFiles:
        """Select the unfinished files of a job from the names in a tmp, tmp2 or dst directory.

        Every plotter puts the plot id into the name of each unfinished file and ends it in `.tmp`, except for
        scratch files that match `anonymous`. A final name (`.plot`) never counts: in a tmp directory it is a
        finished plot that waits for its copy to dst. Without a plot id of 64 hexadecimal digits no file is
        certain.
        """
        known = plot_id if plot_id and _PLOT_ID.match(plot_id) else None
        certain: list[str] = []
        by_directory: list[str] = []
        for name in names:
            if known and known in name and name.startswith("plot-") and name.endswith(".tmp"):
                certain.append(name)
            elif self.anonymous and self.anonymous.match(name):
                by_directory.append(name)
        return OwnFiles(tuple(certain), tuple(by_directory))

    def size_estimate(self, command: CommandLine) -> SizeEstimate | None:
        """Space that one plot of such a job takes; None if k is unknown."""
        if command.k is None:
            return None
        separate = command.tmp2 is not None and command.tmp2 != command.tmp
        return self.space(command.k, command.compression, command.mode, separate)

    def recipe(self, plotting: Plotting, separate_tmp2: bool) -> Recipe:
        """Space that the next job takes. separate_tmp2: a tmp2 directory is configured."""
        chosen = plotting.options
        compression = getattr(chosen, "compression", None)  # chia makes only uncompressed plots
        size = self.space(chosen.k, compression, self.mode_of(plotting), separate_tmp2)
        dst_bytes = size.dst_bytes * self.plots_per_job(plotting)
        return Recipe(plotter=self.name, k=chosen.k, **vars(size) | {"dst_bytes": dst_bytes})
