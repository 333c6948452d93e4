"""The finished plots of a plotter host between two looks: which are new, and which are gone already."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from common.snapshot import FinishedPlot, PlotState


class Shelf:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gone: set[str] = set()
        self._ready: set[str] = set()

    @property
    def gone(self) -> frozenset[str]:
        """Paths of plots that are deleted, though the last look at their directory may still have them."""
        with self._lock:
            return frozenset(self._gone)

    def released(self, path: str) -> None:
        """This plot's source has just been deleted."""
        with self._lock:
            self._gone.add(path)

    def seen(self, paths: Iterable[str]) -> None:
        """All plots in the last looks."""
        with self._lock:
            self._gone &= set(paths)

    def newly_ready(self, plots: Iterable[FinishedPlot]) -> list[FinishedPlot]:
        """Those of the snapshot's plots that have become ready since this was last asked."""
        ready = [plot for plot in plots if plot.state is PlotState.READY]
        with self._lock:
            new = [plot for plot in ready if plot.path not in self._ready]
            self._ready = {plot.path for plot in ready}
        return new
