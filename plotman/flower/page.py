"""Flower's page of the farm: hosts, plots, transfers, drives and what waits for what."""

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

_FRESH_S = 0.5  # many browsers look at one board
_PATIENCE_S = 5.0


class FarmView(BaseHandler):
    """The page; what is in it comes by itself."""

    @authenticated
    def get(self) -> None:
        self.render("farm.html")


class FarmTables(BaseHandler):
    """What the page shows now, as a piece of HTML. The browser asks again and again."""

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
    """What a task's page asks before it is terminated (`question`), whether Flower has heard of its end
    (`over`), and how its plot ended (`ending`). JSON."""

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
    asked = task_end.question(task_id, name, _look.farm())
    end = task_end.ending(task_id, _look.events())
    told = {"text": end.text, "at": end.at.isoformat()} if end else None
    return {"question": asdict(asked), "ending": told}


class _Look:
    """The farm, looked at twice a second at most, whoever asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._board: Board | None = None
        self._known: dict[tuple[Role, str], tuple[str, Any]] = {}
        self._seen: farm.FarmState | None = None
        self._at = 0.0

    def farm(self) -> farm.FarmState:
        with self._lock:
            if self._seen is None or time.monotonic() - self._at > _FRESH_S:
                self._seen = farm.look(self._connected(), self._known)
                self._at = time.monotonic()
            return self._seen

    def events(self) -> list[Event]:
        with self._lock:
            return [event for _, event in self._connected().newest_events(task_end.EVENTS)]

    def _connected(self) -> Board:
        self._board = self._board or farm.board(_PATIENCE_S)
        return self._board


_look = _Look()


def farm_now() -> farm.FarmState:
    """As it was half a second ago at most. Raises PlotmanError; may take seconds: not for the thread that
    serves."""
    return _look.farm()
