"""The finished plots of a plotter host between two looks: which are new, and which are gone already."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

from common.model.snapshot import FinishedPlot, PlotState
from plotter_worker.directories.monitor import DirectorySurvey
from plotter_worker.host.snapshot import finished_plots
from plotter_worker.state.operator import OperatorState


class FinishedPlots:
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

    def look(
        self,
        folders: Iterable[str],
        steering: OperatorState,
        seen: Mapping[str, DirectorySurvey],
        makers: Mapping[str, int],
    ) -> list[FinishedPlot]:
        """Take the last looks into account: the plots that have become ready since. Arguments: as those of
        snapshots.plotter_snapshot."""
        found = {plot.path for look in seen.values() for plot in look.plots}
        with self._lock:
            self._gone &= found
            shown = finished_plots(folders, steering, seen, makers, frozenset(self._gone))
            ready = [plot for plot in shown if plot.state is PlotState.READY]
            new = [plot for plot in ready if plot.path not in self._ready]
            self._ready = {plot.path for plot in ready}
        return new
