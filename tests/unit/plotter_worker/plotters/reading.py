"""Reads logs as the watcher does."""

from __future__ import annotations

from collections.abc import Callable

from plotter_worker.plotters.base import CommandLine, Progress
from plotter_worker.plotters.registry import plotter_for

Log = Callable[[str], bytes]


def read(data: bytes, plotter: str, n: int = 1) -> Progress:
    reader = plotter_for(plotter).reader(CommandLine(plotter, n=n, cwd="/farm"))
    reader.feed(data)
    return reader.progress


def steps(data: bytes, plotter: str, n: int = 1) -> list[Progress]:
    """Progress after each line."""
    reader = plotter_for(plotter).reader(CommandLine(plotter, n=n, cwd="/farm"))
    seen = []
    for line in data.splitlines(keepends=True):
        reader.feed(line)
        seen.append(reader.progress)
    return seen
