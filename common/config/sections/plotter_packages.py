"""Plotters that other packages bring: found by their entry points, loaded only when plotman.yaml names one.

A package's `pyproject.toml`:

    [project.entry-points."plotman.plotters"]
    mytool = "mytool_for_plotman:plotter"

The entry point names an object of the class `plotter_worker.plotters.plotter.Plotter`. This module reads of
it what plotman.yaml needs: its section, its command and its sizes.
"""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol

from pydantic import Field

from common.config.sections.base import Section
from common.errors import PlotmanError
from common.model.snapshot import Recipe
from common.model.text import one_line

GROUP = "plotman.plotters"
_LONGEST_CAUSE = 300
# What a package's code may raise: sys.exit() in it must not end the process that called it.
FAULTS = (Exception, SystemExit)


class PlotterOptions(Section):
    """Base of each plotter's section: what plotman needs of all of them."""

    executable: str = Field(description="Name on the PATH, or full path.", examples=["mytool"])
    k: int = Field(ge=1, le=99, description="Size of the plots.", examples=[32])

    @property
    def executable_key(self) -> str:
        """The key that names the program for these options."""
        return "executable"

    @property
    def chosen_executable(self) -> str:
        """The program that makes plots with these options."""
        return str(getattr(self, self.executable_key))

    @property
    def version_arguments(self) -> tuple[str, ...] | None:
        """The program prints its version with these; None: `config check` does not run it."""
        return ("--version",)


class PackagedPlotter(Protocol):
    """The part of a plotter that plotman.yaml needs (see `plotter_worker.plotters.plotter.Plotter`).

    name: the name of its entry point.
    options: model of its section, `plotting.NAME`.
    """

    name: str
    options: type[PlotterOptions]

    def argv(self, plotting: Any, tmp: str, tmp2: str | None, dst: str) -> list[str]:
        """Build the command of one job."""

    def recipe(self, plotting: Any, separate_tmp2: bool) -> Recipe:
        """Space that the next job takes."""


class BrokenPackage(PlotmanError):
    """A package's plotter cannot be used; the text names the package and says why, in one line."""


def packaged_names() -> list[str]:
    """Names of the plotters that installed packages offer. Loads none of them."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def package_of(name: str) -> str:
    """The package that offers a plotter, with its version: `mytool-for-plotman 1.2`."""
    return " and ".join(sorted({_package(point) for point in entry_points(group=GROUP, name=name)}))


_loaded: dict[str, PackagedPlotter] = {}


def loaded() -> tuple[PackagedPlotter, ...]:
    """The packaged plotters that this process has loaded."""
    return tuple(_loaded.values())


def load(name: str) -> PackagedPlotter:
    """Load the plotter of an entry point, once in a process.

    Raises:
        BrokenPackage: it cannot be loaded, or is not what it must be.
    """
    if name in _loaded:
        return _loaded[name]
    points = list(entry_points(group=GROUP, name=name))
    packages = package_of(name)
    if not points:
        raise BrokenPackage(f"no installed package offers a plotter {name!r}")
    if len({point.value for point in points}) > 1:
        raise BrokenPackage(f"{packages} all offer a plotter {name!r}; uninstall all but one")
    try:
        plotter = points[0].load()
        flaw = _flaw(name, plotter)
    except FAULTS as error:
        raise BrokenPackage(f"the plotter of package {packages} does not load: {cause(error)}") from error
    if flaw is not None:
        raise BrokenPackage(f"the plotter of package {packages} is not usable: {flaw}")
    return _loaded.setdefault(name, plotter)  # threads that load it at once get the same object


def try_out(name: str, plotting: Any) -> None:
    """Ask a loaded plotter for what a start needs, so that a broken one is refused with plotman.yaml.

    Args:
        name: of the plotter.
        plotting: the section `plotting` that chooses it.

    Raises:
        BrokenPackage: it raises an error, or returns something else than it must.
    """
    plotter, where = load(name), f"the plotter of package {package_of(name)}"
    try:
        argv = plotter.argv(plotting, "/tmp", "/tmp2", "/dst")
        recipes = [plotter.recipe(plotting, separate_tmp2) for separate_tmp2 in (False, True)]
    except FAULTS as error:
        raise BrokenPackage(f"{where} fails with these settings: {cause(error)}") from error
    if not is_argv(argv):
        raise BrokenPackage(f"{where} is not usable: its argv() returns no list of texts")
    if not all(isinstance(recipe, Recipe) for recipe in recipes):
        raise BrokenPackage(f"{where} is not usable: its recipe() returns no Recipe")


def is_argv(value: object) -> bool:
    """Whether a value can be the command line of a process."""
    return (
        isinstance(value, list) and bool(value) and all(isinstance(w, str) and "\0" not in w for w in value)
    )


def cause(error: BaseException) -> str:
    """An error of a package's code, in one line."""
    return one_line(" ".join(f"{type(error).__name__}: {error}".split()), _LONGEST_CAUSE)


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"


_BASE = "plotter_worker.plotters.plotter.Plotter"


def _flaw(name: str, plotter: object) -> str | None:
    """Why an object is no plotter; None if it can be one."""
    if isinstance(plotter, type):
        return "the entry point names a class, and must name an object of it"
    if _BASE not in {f"{base.__module__}.{base.__qualname__}" for base in type(plotter).__mro__}:
        return f"it is not derived from {_BASE}"
    if getattr(plotter, "name", None) != name:
        return f"its name is {getattr(plotter, 'name', None)!r}, and its entry point's is {name!r}"
    options = getattr(plotter, "options", None)
    if not (isinstance(options, type) and issubclass(options, PlotterOptions)):
        return "its `options` is no subclass of PlotterOptions"
    if options.model_config.get("extra") != "forbid" or not options.model_config.get("frozen"):
        return "its `options` must refuse unknown keys and be frozen, as PlotterOptions is"
    return _flaw_in_tables(plotter)


def _flaw_in_tables(plotter: Any) -> str | None:
    marks, rules, anonymous = plotter.marks, plotter.rules, plotter.anonymous
    if not all(isinstance(mark, bytes) and mark for mark in marks):
        return "its `marks` are not bytes"
    for word, entries in rules.items():
        for pattern, handler in entries:
            if not (isinstance(word, bytes) and isinstance(pattern, re.Pattern) and callable(handler)):
                return "its `rules` are not made by rules() and merged()"
            if not isinstance(pattern.pattern, str):
                return "its `rules` have a pattern of bytes, and must have texts"
    if not (plotter.noise is None or isinstance(plotter.noise, bytes)):
        return "its `noise` is not bytes"
    if not all(isinstance(option, str) and option.startswith("-") for option in plotter.secret_options):
        return "its `secret_options` are not options"
    if not (anonymous is None or isinstance(anonymous, re.Pattern)):
        return "its `anonymous` is no compiled pattern"
    return None
