"""Plotters of other packages. Their code is called through `Packaged`, so that its errors stay theirs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import zip_longest
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter

from common.config.sections.plotter_packages import (
    FAULTS,
    BrokenPackage,
    PackagedPlotter,
    cause,
    is_argv,
    package_of,
)
from common.config.sections.plotting import Plotting
from common.model.snapshot import Recipe
from plotter_worker.plotters.base import (
    CommandLine,
    DonePlot,
    Mode,
    OwnFiles,
    PlotDetails,
    Progress,
    SizeEstimate,
)
from plotter_worker.plotters.log_parser import SHARED_RULES, LogReader, Rules
from plotter_worker.plotters.plotter import Plotter

log = logging.getLogger(__name__)

T = TypeVar("T")


class Packaged(Plotter):
    """A plotter of another package. An error in one of its functions is logged once. After an error the
    process counts as no plotter, the line is skipped, or the size is unknown.

    `Plotter.own_files` finds its files, never code of the package, since they are deleted. Of the names that
    match its `anonymous` only those that end in `.tmp` count.
    """

    def __init__(self, plotter: PackagedPlotter) -> None:
        assert isinstance(plotter, Plotter)  # `load` has checked it, and its tables
        self.name, self._where = plotter.name, f"The plotter of package {package_of(plotter.name)}"
        self._plotter = plotter
        self._logged: set[str] = set()
        self.marks, self.noise, self.batch = plotter.marks, plotter.noise, plotter.batch
        self.rules, self.anonymous = plotter.rules, plotter.anonymous
        self.secret_options = plotter.secret_options

    def argv(self, plotting: Plotting, tmp: str, tmp2: str | None, dst: str) -> list[str]:
        """Raises BrokenPackage."""
        try:
            argv = self._plotter.argv(plotting, tmp, tmp2, dst)
        except FAULTS as error:
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
        found = self._called("mode_of", lambda: self._plotter.mode_of(plotting), Mode.CPU)
        return found if isinstance(found, Mode) else Mode.CPU

    def size_estimate(self, command: CommandLine) -> SizeEstimate | None:
        estimate = super().size_estimate  # by `space`
        found = self._called("space", lambda: estimate(command), None)
        return found if isinstance(found, SizeEstimate) else None

    def uses_gpu(self, mode: Mode) -> bool:
        return bool(self._called("uses_gpu", lambda: self._plotter.uses_gpu(mode), False))

    def plots_per_job(self, plotting: Plotting) -> int:
        found = self._called("plots_per_job", lambda: self._plotter.plots_per_job(plotting), 1)
        return found if isinstance(found, int) and found > 0 else 1

    def reader(self, command: CommandLine | None = None) -> LogReader:
        return _GuardedReader(self._called, self.rules, command, self.noise)

    def own_files(self, names: Iterable[str], plot_id: str | None) -> OwnFiles:
        found = super().own_files(names, plot_id)
        scratch = tuple(name for name in found.by_directory if name.endswith(".tmp"))
        return OwnFiles(found.certain, scratch)

    def recipe(self, plotting: Plotting, separate_tmp2: bool) -> Recipe:
        """Raises BrokenPackage; rarely, as `try_out` has called it with these settings before."""
        try:
            return self._plotter.recipe(plotting, separate_tmp2)
        except FAULTS as error:
            raise BrokenPackage(f"{self._where} fails: {cause(error)}.") from error

    def _called(self, function: str, call: Callable[[], T], otherwise: T) -> T:
        try:
            return call()
        except FAULTS as error:
            if function not in self._logged:
                self._logged.add(function)
                log.exception("%s fails in %s: %s", self._where, function, cause(error))
            return otherwise


class _GuardedReader(LogReader):
    """Reads on after an error in the package's rules. A rule can write anything into the state: a progress
    with a wrong value is dropped, and the last good one stays."""

    def __init__(
        self,
        called: Callable[[str, Callable[[], Any], Any], Any],
        table: Rules,
        command: CommandLine | None,
        noise: bytes | None,
    ) -> None:
        super().__init__(table, command, noise)
        self._called = called
        self._good = super().progress

    @property
    def progress(self) -> Progress:
        if self._progress is None:
            self._good = self._progress = self._called("rules", self._checked, self._good)
        return self._progress

    def _checked(self) -> Progress:
        progress = self._state.progress()
        _check(progress)
        # A batch has thousands of plots, which stay the same objects: each is checked once.
        for plot, checked in zip_longest(progress.plots_done, self._good.plots_done):
            if plot is not None and plot is not checked:
                _check(plot)
        return progress

    def _line(self, line: bytes) -> None:
        self._called("rules", lambda: super(_GuardedReader, self)._line(line), None)


@cache
def _types(of: type) -> dict[str, TypeAdapter[Any]]:
    return {name: TypeAdapter(hint) for name, hint in get_type_hints(of).items()}


def _check(value: Progress | DonePlot | PlotDetails) -> None:
    """Check the types of all fields but `plots_done`. Raises ValidationError."""
    kind: Any = type(value)
    for name, adapter in _types(kind).items():
        if name not in ("details", "plots_done"):
            found = getattr(value, name)
            adapter.validate_python(dict(found) if name == "phase_times_s" else found, strict=True)
    if not isinstance(value, PlotDetails):
        _check(value.details)


# ruff: noqa: ARG002
class Uninstalled(Plotter):
    """A plotter whose package is broken or no longer installed, while its jobs run. They are watched; of
    their logs only the shared rules are understood."""

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
