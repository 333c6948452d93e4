"""All plotters that plotman knows: its own, and packaged ones that plotman.yaml or a job names."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache

from common.config import Config
from common.config.sections.plotter_packages import BrokenPackage, load, loaded
from common.model.snapshot import Recipe
from plotter_worker.plotters.base import CommandLine
from plotter_worker.plotters.bladebit import Bladebit
from plotter_worker.plotters.chiapos import Chia, ChiaPlottersChiapos
from plotter_worker.plotters.log_parser import without_colours
from plotter_worker.plotters.madmax import Madmax
from plotter_worker.plotters.packaged import Packaged, Uninstalled
from plotter_worker.plotters.plotter import Plotter
from plotter_worker.plotters.xchplot2 import Xchplot2

log = logging.getLogger(__name__)

# Chia first: its log also has the mark of ChiaPlottersChiapos.
PLOTTERS: tuple[Plotter, ...] = (Chia(), ChiaPlottersChiapos(), Madmax(), Bladebit(), Xchplot2())
_BY_NAME = {plotter.name: plotter for plotter in PLOTTERS}


def known() -> tuple[Plotter, ...]:
    """Our own plotters first, then the packaged ones that are in use."""
    return (*PLOTTERS, *(plotter_for(plotter.name) for plotter in loaded()))


def plotter_for(name: str) -> Plotter:
    """The plotter of this name (`plotting.type`). Raises BrokenPackage if there is none, or it is broken."""
    if name in _BY_NAME:
        return _BY_NAME[name]
    loaded_one = load(name)
    known_guard = _guards.get(id(loaded_one))
    return known_guard or _guards.setdefault(id(loaded_one), Packaged(loaded_one))


# `load` alone decides which object a name stands for. By id: objects of a package may have no hash.
_guards: dict[int, Packaged] = {}


def plotter_of_job(name: str) -> Plotter:
    """The plotter of a job that was started before; `Uninstalled` if it no longer exists."""
    try:
        return plotter_for(name)
    except BrokenPackage as error:
        return _uninstalled(name, str(error))


@cache
def _uninstalled(name: str, why: str) -> Uninstalled:
    """Made once for each reason, which is logged."""
    log.error("The jobs of plotter %s are watched, but their logs are not understood: %s", name, why)
    return Uninstalled(name)


def recipe_of(settings: Config) -> Recipe:
    """Space that the next plot takes on a plotter host with these settings."""
    assert settings.directories is not None
    assert settings.plotting is not None
    plotter = plotter_for(settings.plotting.type)
    return plotter.recipe(settings.plotting, separate_tmp2=settings.directories.tmp2 is not None)


def gpus_of(settings: Config) -> tuple[str, ...]:
    """The GPUs that the next plots of a plotter host use; empty if none are configured, or they need none."""
    assert settings.plotting is not None
    plotter = plotter_for(settings.plotting.type)
    return settings.plotting.gpus if plotter.uses_gpu(plotter.mode_of(settings.plotting)) else ()


def recognise(argv: Sequence[str], cwd: str | None) -> tuple[Plotter, CommandLine] | None:
    """Find the plotter that a process runs, and read its options; None if it runs none. Never raises.

    Args:
        argv: As in the process table; empty for a zombie.
        cwd: Working directory; if None, relative directories are unknown.
    """
    for plotter in known():
        command = plotter.recognise(argv, cwd)
        if command:
            return plotter, command
    return None


def recognise_log(head: bytes) -> Plotter | None:
    """Find the plotter that wrote a log, from its first 8 KiB; None if it is not clear yet."""
    head = without_colours(head)
    return next((plotter for plotter in known() if plotter.recognise_log(head)), None)
