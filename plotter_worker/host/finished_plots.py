"""The finished plots of a plotter host: what each is, which became ready, and which are already deleted."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

from common.model.snapshot import FinishedPlot, PlotState
from plotter_worker.directories.monitor import DirectorySurvey
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.processes.table import pid_of


def makers(running: Iterable[TrackedJob]) -> dict[str, int]:
    """Plot id -> pid of its plotter, of plots that are being made or copied to dst."""
    found = {}
    for job in running:
        progress = job.progress
        done = {plot.plot_id for plot in progress.plots_done}
        for plot_id in (progress.plot_id, *progress.copying):
            if plot_id is not None and plot_id not in done and job.record.process:
                found[plot_id] = pid_of(job.record.process)
    return found


def finished_plots(
    folders: Iterable[str],
    refused: Mapping[str, str],
    surveys: Mapping[str, DirectorySurvey],
    makers: Mapping[str, int],
    released: frozenset[str],
) -> Iterable[FinishedPlot]:
    """The finished plots in `folders`, without the harvester that may have a copy.

    Args:
        folders: directories whose plots may be moved.
        refused: path of a plot -> why a harvester refused it.
        makers: plot id -> pid of the plotter that has not finished it.
        released: paths of plots that are deleted, though the last survey may still have them.
    """
    for folder in folders:
        for plot in surveys[folder].plots if folder in surveys else ():
            if plot.path in released:
                continue
            maker = makers.get(plot.plot_id or "")
            if plot.path in refused:
                yield plot.model_copy(update={"state": PlotState.REFUSED, "reason": refused[plot.path]})
            elif plot.state is PlotState.READY and maker is not None:
                # Whole, but its plotter has not reported it yet and may still rename or copy it.
                reason = f"its plotter (pid {maker}) is about to end"
                yield plot.model_copy(update={"state": PlotState.OPEN, "reason": reason})
            else:
                yield plot


class FinishedPlots:
    """Remembers between two surveys which plots were ready and which are deleted. For several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._released: set[str] = set()
        self._ready: set[str] = set()

    @property
    def released(self) -> frozenset[str]:
        """Paths of plots that are deleted, though the last survey may still have them."""
        with self._lock:
            return frozenset(self._released)

    def release(self, path: str) -> None:
        """Hide this plot, whose source has just been deleted: a survey that began before may show it."""
        with self._lock:
            self._released.add(path)

    def newly_ready(
        self,
        folders: Iterable[str],
        refused: Mapping[str, str],
        surveys: Mapping[str, DirectorySurvey],
        makers: Mapping[str, int],
    ) -> list[FinishedPlot]:
        """Plots that became ready since the last call. Arguments as for `finished_plots`."""
        present = {plot.path for survey in surveys.values() for plot in survey.plots}
        with self._lock:
            self._released &= present
            shown = finished_plots(folders, refused, surveys, makers, frozenset(self._released))
            ready = [plot for plot in shown if plot.state is PlotState.READY]
            new = [plot for plot in ready if plot.path not in self._ready]
            self._ready = {plot.path for plot in ready}
        return new
