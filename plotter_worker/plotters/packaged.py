"""Plotters of other packages. Their code is called through `Packaged`, so that its errors stay theirs."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from common.config.sections.plotter_packages import (
    BrokenPackage,
    PackagedPlotter,
    cause,
    is_argv,
    package_of,
)
from common.config.sections.plotting import Plotting
from common.model.snapshot import Recipe
from plotter_worker.plotters.base import CommandLine, Mode, OwnFiles, SizeEstimate
from plotter_worker.plotters.log_parser import SHARED_RULES, Handler, Rules
from plotter_worker.plotters.log_state import PlotLogState
from plotter_worker.plotters.plotter import Plotter

log = logging.getLogger(__name__)

T = TypeVar("T")


class Packaged(Plotter):
    """A plotter of another package. An error in its code is logged once for each of its functions; then the
    process is no plotter, the line says nothing, or the size is unknown.

    Its files are found by `Plotter.own_files`, never by code of the package, since they are deleted; of those
    that its `anonymous` fits only names that end in `.tmp` count.
    """

    def __init__(self, plotter: PackagedPlotter) -> None:
        assert isinstance(plotter, Plotter)  # `load` has checked it, and its tables
        self.name, self._where = plotter.name, f"The plotter of package {package_of(plotter.name)}"
        self._plotter = plotter
        self._logged: set[str] = set()
        self.options, self.version_arguments = plotter.options, plotter.version_arguments
        self.marks, self.noise, self.batch = plotter.marks, plotter.noise, plotter.batch
        self.rules, self.anonymous = self._guarded(plotter.rules), plotter.anonymous

    def argv(self, plotting: Plotting, tmp: str, tmp2: str | None, dst: str) -> list[str]:
        """Raises BrokenPackage."""
        try:
            argv = self._plotter.argv(plotting, tmp, tmp2, dst)
        except Exception as error:
            raise BrokenPackage(f"{self._where} fails: {cause(error)}.") from error
        if not is_argv(argv):
            raise BrokenPackage(f"{self._where} is not usable: its argv() returns no list of texts.")
        return argv

    def recognise(self, argv: Sequence[str], cwd: str | None) -> CommandLine | None:
        found = self._called("recognise", lambda: self._plotter.recognise(tuple(argv), cwd), None)
        return found if isinstance(found, CommandLine) and found.plotter == self.name else None

    def space(self, k: int, compression: int | None, mode: Mode, separate_tmp2: bool) -> SizeEstimate:
        return self._plotter.space(k, compression, mode, separate_tmp2)

    def mode_of(self, plotting: Plotting) -> Mode:
        return self._plotter.mode_of(plotting)

    def size_estimate(self, command: CommandLine) -> SizeEstimate | None:
        found = self._called("space", lambda: self._plotter.size_estimate(command), None)
        return found if isinstance(found, SizeEstimate) else None

    def uses_gpu(self, mode: Mode) -> bool:
        return bool(self._called("uses_gpu", lambda: self._plotter.uses_gpu(mode), False))

    def plots_per_job(self, plotting: Plotting) -> int:
        return self._plotter.plots_per_job(plotting)

    def own_files(self, names: Iterable[str], plot_id: str | None) -> OwnFiles:
        found = super().own_files(names, plot_id)
        scratch = tuple(name for name in found.by_directory if name.endswith(".tmp"))
        return OwnFiles(found.certain, scratch)

    def recipe(self, plotting: Plotting, separate_tmp2: bool) -> Recipe:
        """Raises BrokenPackage; plotman.yaml was refused if it did so with these settings."""
        try:
            return self._plotter.recipe(plotting, separate_tmp2)
        except Exception as error:
            raise BrokenPackage(f"{self._where} fails: {cause(error)}.") from error

    def _guarded(self, rules: Rules) -> Rules:
        return {
            word: tuple((pattern, self._guard(handler)) for pattern, handler in entries)
            for word, entries in rules.items()
        }

    def _guard(self, handler: Handler) -> Handler:
        def guarded(state: PlotLogState, match: re.Match[str]) -> None:
            self._called("rules", lambda: handler(state, match), None)

        return guarded

    def _called(self, function: str, call: Callable[[], T], otherwise: T) -> T:
        try:
            return call()
        except Exception as error:
            if function not in self._logged:
                self._logged.add(function)
                log.exception("%s fails in %s: %s", self._where, function, cause(error))
            return otherwise


# ruff: noqa: ARG002
class Uninstalled(Plotter):
    """Stands for a plotter whose package is not installed any more, or is broken, while jobs of it run: they
    are watched, and only errors of their logs are understood."""

    marks = ()
    rules = SHARED_RULES

    def __init__(self, name: str) -> None:
        self.name = name

    def argv(self, plotting: Plotting, tmp: str, tmp2: str | None, dst: str) -> list[str]:
        raise BrokenPackage(f"No installed package offers the plotter {self.name}.")

    def recognise(self, argv: Sequence[str], cwd: str | None) -> None:
        return None

    def space(self, k: int, compression: int | None, mode: Mode, separate_tmp2: bool) -> SizeEstimate:
        return SizeEstimate(0, 0, 0)
