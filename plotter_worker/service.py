"""The part of a plotter's Celery worker that lives as long as the worker does."""

from __future__ import annotations

import os
from typing import Any

from common.config import Config
from common.config.watch import ConfigWatch
from common.model.snapshot import PlotterSnapshot
from common.names import STARTS_NONE, Role
from common.store import Board
from common.worker import startup
from common.worker.duplicate_host import mark
from common.worker.publisher import Publisher
from common.worker.service import Served, ServiceStep
from plotter_worker.host.plotter_host import PlotterHost
from plotter_worker.jobs.adoption import Send
from plotter_worker.leftovers.summary import LeftoversSummary
from plotter_worker.reporting.events import PlotterEvents
from plotter_worker.reporting.plot_history import PlotHistory


class ServedPlotter:
    """One host's plots, and all that is told of them."""

    def __init__(self, settings: Config, board: Board, send: Send) -> None:
        self.host = settings.host
        self.board = board
        self.publisher = Publisher(board, Role.PLOTTER, self._snapshot, mark(settings.state_dir))
        self.history = PlotHistory(settings, self.publisher.progressed)
        news = PlotterEvents(settings.host, self.publisher, self.history)
        self.plots = PlotterHost(settings, news, send)
        self._leftovers = LeftoversSummary(self.plots)
        self._watch = ConfigWatch(settings, Role.PLOTTER, self.plots.follow, self.publisher)

    def start(self) -> None:
        self.history.start()
        self.plots.start()
        self._watch.start()
        self.publisher.start()
        self.publisher.changed()

    def stop(self) -> None:
        """Let go. The plotters go on."""
        self._watch.stop()
        self.plots.stop()
        self.publisher.stop()
        self.history.stop()

    def _snapshot(self) -> PlotterSnapshot:
        snapshot = self.plots.snapshot()
        if STARTS_NONE in os.environ and snapshot.plotting:
            reason = "`plotman archive` starts none; `plotman plot` does"
            snapshot = snapshot.model_copy(update={"plotting": False, "pause_reason": reason})
        told = {
            "problems": (*startup.problems(), *self._watch.problems),
            "tally": self.history.tally(),
            "leftovers": self._leftovers.latest(),
        }
        return snapshot.model_copy(update=told)


served: Served[ServedPlotter] = Served("This worker does not plot for")


def serving(host: str) -> ServedPlotter:
    """What this process serves. Raises OrderRefused when it is not the plotter of `host`."""
    return served.by(host)


def current(host: str) -> PlotterHost:
    """The plotter host that this process serves. Raises OrderRefused when it is not `host`."""
    return serving(host).plots


class PlotterService(ServiceStep):
    """Runs in the worker named plotter@HOST."""

    role = Role.PLOTTER
    served = served

    def make(self, settings: Config, board: Board, worker: Any) -> ServedPlotter:
        return ServedPlotter(settings, board, worker.app.send_task)
