"""All plotters that we know."""

from __future__ import annotations

from collections.abc import Sequence

from common.config import Config
from common.model.snapshot import Recipe
from plotter_worker.plotters.base import CommandLine, Plotter
from plotter_worker.plotters.bladebit import Bladebit
from plotter_worker.plotters.chia import Chia
from plotter_worker.plotters.chiapos import ChiaPlottersChiapos
from plotter_worker.plotters.madmax import Madmax

# chia before chiapos: their logs differ only in what chia adds.
PLOTTERS: tuple[Plotter, ...] = (Chia(), ChiaPlottersChiapos(), Madmax(), Bladebit())
_BY_NAME = {plotter.name: plotter for plotter in PLOTTERS}


def plotter_for(name: str) -> Plotter:
    """The plotter of this name (`plotting.type`). Raises KeyError for a name that is none."""
    return _BY_NAME[name]


def recipe_of(settings: Config) -> Recipe:
    """The next plot that a plotter host makes by these settings."""
    assert settings.directories is not None
    assert settings.plotting is not None
    plotter = plotter_for(settings.plotting.type)
    return plotter.recipe(settings.plotting, separate_tmp2=settings.directories.tmp2 is not None)


def recognise(argv: Sequence[str], cwd: str | None) -> tuple[Plotter, CommandLine] | None:
    """Which plotter a process is, and what it does; None if it is none. Never raises.

    argv: as the process table has it; empty for a zombie.
    cwd: its working directory; None if it cannot be read: relative directories are then not known.
    """
    for plotter in PLOTTERS:
        command = plotter.recognise(argv, cwd)
        if command:
            return plotter, command
    return None


def recognise_log(head: bytes) -> Plotter | None:
    """Which plotter wrote a log that begins so (8 KiB are enough); None if that cannot be told yet."""
    return next((plotter for plotter in PLOTTERS if plotter.recognise_log(head)), None)
