"""What a plotter's Celery worker serves from its start to its end."""

from __future__ import annotations

from typing import Any

from common.config import Config
from common.config.watch import ConfigWatch
from common.model.snapshot import PlotterSnapshot
from common.names import Role
from common.store import Board
from common.worker import startup
from common.worker.duplicate_host import mark
from common.worker.publisher import Publisher
from common.worker.service import Served, ServiceStep
from plotter_worker.host.operator_actions import starts_none
from plotter_worker.host.plotter_host import PlotterHost
from plotter_worker.jobs.adoption import Send
from plotter_worker.leftovers.summary import LeftoversSummary
from plotter_worker.reporting.events import PlotterEvents
from plotter_worker.reporting.plot_history import PlotHistory


class ServedPlotter:
    """The plotter host, its publisher, its history and its view of plotman.yaml."""

    def __init__(self, settings: Config, board: Board, send: Send) -> None:
        self.host = settings.host
        self.board = board
        self.publisher = Publisher(board, Role.PLOTTER, self._snapshot, mark(settings.state_dir))
        self.history = PlotHistory(settings, self.publisher.progressed)
        events = PlotterEvents(settings.host, self.publisher, self.history)
        self.plotter = PlotterHost(settings, events, send, self.history.learned)
        self._leftovers = LeftoversSummary(self.plotter)
        self._watch = ConfigWatch(settings, Role.PLOTTER, self.plotter.reload, self.publisher)

    def start(self) -> None:
        self.history.start()
        self.plotter.start()
        self._watch.start()
        self.publisher.start()
        self.publisher.changed()

    def stop(self) -> None:
        """Stop. The plotters run on."""
        self._watch.stop()
        self.plotter.stop()
        self.publisher.stop()
        self.history.stop()

    def _snapshot(self) -> PlotterSnapshot:
        snapshot = self.plotter.snapshot()
        if snapshot.plotting and (reason := starts_none()):
            snapshot = snapshot.model_copy(update={"plotting": False, "pause_reason": reason})
        fields = {
            "problems": (*startup.problems(), *self._watch.problems),
            "tally": self.history.tally(),
            "leftovers": self._leftovers.latest(),
        }
        return snapshot.model_copy(update=fields)


served: Served[ServedPlotter] = Served("This worker does not plot for")
serving = served.by


def current(host: str) -> PlotterHost:
    """The plotter host that this process serves. Raises OrderRefused if it is not `host`."""
    return serving(host).plotter


class PlotterService(ServiceStep):
    """Starts the plotter host in the worker named plotter@HOST."""

    role = Role.PLOTTER
    served = served

    def make(self, settings: Config, board: Board, worker: Any) -> ServedPlotter:
        return ServedPlotter(settings, board, worker.app.send_task)
