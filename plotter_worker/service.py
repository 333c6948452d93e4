"""The part of a plotter's Celery worker that lives as long as the worker does."""

from __future__ import annotations

import logging
import os
from typing import Any

from common import startup
from common.broker import broker_url
from common.config_watch import ConfigWatch
from common.errors import OrderRefused
from common.last_good import load_to_run
from common.names import STARTS_NONE, Role
from common.publisher import Publisher
from common.service import RoleStep
from common.snapshot import PlotterSnapshot
from common.store import Board
from plotter_worker.history import PlotHistory
from plotter_worker.host import PlotterHost
from plotter_worker.leftovers.glance import LeftoversAtAGlance
from plotter_worker.news import News

log = logging.getLogger(__name__)

_current: PlotterHost | None = None
_board: Board | None = None
_publisher: Publisher | None = None
_history: PlotHistory | None = None


def current(host: str) -> PlotterHost:
    """The plotter host that this process serves. Raises OrderRefused when it is not `host`."""
    if _current is None or _current.name != host:
        raise OrderRefused(
            f"This worker does not plot for {host}.", "Send the task to the queue of its host."
        )
    return _current


def board() -> Board:
    """This process' notice board."""
    assert _board is not None
    return _board


def publisher() -> Publisher:
    """What this process tells goes through it."""
    assert _publisher is not None
    return _publisher


def history() -> PlotHistory:
    """What this process keeps of its plots."""
    assert _history is not None
    return _history


class PlotterService(RoleStep):
    """Runs in the worker named plotter@HOST."""

    role = Role.PLOTTER

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._host: PlotterHost | None = None
        self._publisher: Publisher | None = None
        self._watch: ConfigWatch | None = None
        self._history: PlotHistory | None = None
        self._leftovers: LeftoversAtAGlance | None = None

    def start(self, worker: Any) -> None:
        global _current, _board, _publisher, _history  # noqa: PLW0603  one worker per process; its tasks need to find it
        settings = load_to_run()
        _board = Board.connect(broker_url(settings))
        self._publisher = _publisher = Publisher(_board, Role.PLOTTER, self._snapshot)
        self._history = _history = PlotHistory(settings, self._publisher.progressed)
        self._host = PlotterHost(
            settings, News(settings.host, self._publisher, _history), worker.app.send_task
        )
        self._leftovers = LeftoversAtAGlance(self._host)
        _current = self._host
        self._history.start()
        self._host.start()
        self._watch = ConfigWatch(settings, Role.PLOTTER, self._host.follow, self._publisher)
        self._watch.start()
        self._publisher.start()
        self._publisher.changed()
        log.info("plotter %s is up", settings.host)

    def stop(self, worker: Any) -> None:  # noqa: ARG002
        global _current  # noqa: PLW0603
        _current = None
        if self._watch:
            self._watch.stop()
        if self._host and self._publisher:
            self._host.stop()
            self._publisher.stop()
        if self._history:
            self._history.stop()

    terminate = stop

    def _snapshot(self) -> PlotterSnapshot:
        assert self._host is not None
        assert self._history is not None
        snapshot = self._host.snapshot()
        watched = self._watch.problems if self._watch else ()
        problems = (*snapshot.problems, *startup.problems(), *watched)
        if STARTS_NONE in os.environ and snapshot.plotting:
            reason = "`plotman archive` starts none; `plotman plot` does"
            snapshot = snapshot.model_copy(update={"plotting": False, "pause_reason": reason})
        assert self._leftovers is not None
        told = {"problems": problems, "tally": self._history.tally(), "leftovers": self._leftovers.now()}
        return snapshot.model_copy(update=told)
