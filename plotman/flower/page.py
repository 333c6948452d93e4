"""Flower's page of the farm: hosts, plots, transfers, drives and waits."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import asdict
from typing import Any

from celery.states import READY_STATES
from flower.utils.tasks import get_task_by_id
from flower.views import BaseHandler
from tornado.web import authenticated

from common.errors import PlotmanError
from common.model.snapshot import Event
from common.names import Role
from common.store import Board
from plotman.control import farm
from plotman.flower import sections, task_end

_FRESH_S = 0.5  # many browsers share one read of the board
_TIMEOUT_S = 5.0


class FarmView(BaseHandler):
    """The page. Its script loads the content."""

    @authenticated
    def get(self) -> None:
        self.render("farm.html")


class FarmTables(BaseHandler):
    """The content of the page, a fragment of HTML. The browser loads it every second."""

    @authenticated
    async def get(self) -> None:
        self.set_header("Cache-Control", "no-store")
        try:
            shown = await asyncio.get_running_loop().run_in_executor(None, lambda: sections.page(farm_now()))
        except PlotmanError as error:
            self.set_status(503)
            self.set_header("Content-Type", "text/plain; charset=UTF-8")
            self.finish(str(error))
            return
        self.render("farm_tables.html", page=shown)


class TaskEnd(BaseHandler):
    """JSON for the page of a task. question: to ask before Terminate. over: whether Flower knows that the
    task has ended. ending: how its plot ended."""

    @authenticated
    async def get(self, task_id: str) -> None:
        self.set_header("Cache-Control", "no-store")
        task = get_task_by_id(self.application.events, task_id)
        name, state = (task.name, task.state) if task else (None, None)
        try:
            shown = await asyncio.get_running_loop().run_in_executor(None, _of_task, task_id, name)
        except PlotmanError as error:
            self.set_status(503)
            self.set_header("Content-Type", "text/plain; charset=UTF-8")
            self.finish(str(error))
            return
        self.write({**shown, "over": state in READY_STATES})


def _of_task(task_id: str, name: str | None) -> dict[str, Any]:
    question = task_end.question(task_id, name, _reader.farm())
    end = task_end.ending(task_id, _reader.events())
    ended = {"text": end.text, "at": end.at.isoformat()} if end else None
    return {"question": asdict(question), "ending": ended}


class _Reader:
    """Reads the farm, at most twice a second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._board: Board | None = None
        self._known: dict[tuple[Role, str], tuple[str, Any]] = {}
        self._farm: farm.FarmState | None = None
        self._read_s = 0.0

    def farm(self) -> farm.FarmState:
        with self._lock:
            if self._farm is None or time.monotonic() - self._read_s > _FRESH_S:
                self._farm = farm.read_farm(self._connected(), self._known)
                self._read_s = time.monotonic()
            return self._farm

    def events(self) -> list[Event]:
        with self._lock:
            return [event for _, event in self._connected().newest_events(task_end.EVENTS)]

    def _connected(self) -> Board:
        self._board = self._board or farm.board(_TIMEOUT_S)
        return self._board


_reader = _Reader()


def farm_now() -> farm.FarmState:
    """The farm, at most half a second old. May take seconds: do not call it in Tornado's thread. Raises
    PlotmanError."""
    return _reader.farm()
