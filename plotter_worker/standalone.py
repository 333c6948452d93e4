"""A plotter host without its worker, for a verb on a machine whose plotman is not running.

It sees the plots that run, by their records and the process table, and the directories, once. It starts
nothing, moves nothing and reports to nobody; the next worker finds the plots as after any other pause.
"""

from __future__ import annotations

import time
from typing import cast

from common.config import Config
from common.model.snapshot import DirState, Event, PlotterSnapshot
from plotter_worker.host.plotter_host import PlotterHost
from plotter_worker.reporting.events import PlotterEvents
from plotter_worker.service import ServedPlotter, served

NOT_RUNNING = "plotman is not running here"
_SURVEYED_S = 3.0  # a directory that answers later is shown as unknown
_PAUSE_S = 0.01


class _Nobody:
    """Gets what a worker would publish."""

    def changed(self) -> None: ...

    def progressed(self) -> None: ...

    def tell(self, event: Event) -> None: ...

    def publish_now(self) -> None: ...


class Standalone:
    """Serves the tasks for single plots in this process, until it ends.

    settings: with a section `directories`.
    """

    def __init__(self, settings: Config) -> None:
        self.host = settings.host
        events = PlotterEvents(settings.host, _Nobody())
        self.plotter = PlotterHost(settings, events, lambda *_, **__: None)
        self._watches = False

    def start(self) -> None:
        """Look at the plots and directories; waits some seconds for a drive that does not answer."""
        self.plotter.look_once()
        until_s = time.monotonic() + _SURVEYED_S
        while self._unknown() and time.monotonic() < until_s:
            time.sleep(_PAUSE_S)

    def watch(self) -> None:
        """Watch the plots, for a kill. No-op when called again."""
        if not self._watches:
            self._watches = True
            self.plotter.watch()

    def stop(self) -> None:
        self.plotter.directories.stop()

    def serve(self) -> None:
        """Let this process' tasks find it."""
        served.begin(cast("ServedPlotter", self))

    def snapshot(self) -> PlotterSnapshot:
        snapshot = self.plotter.snapshot()
        return snapshot.model_copy(update={"plotting": False, "pause_reason": NOT_RUNNING})

    def _unknown(self) -> bool:
        surveys = self.plotter.directories.surveys().values()
        return any(survey.report.state is DirState.UNKNOWN for survey in surveys)
