"""What Flower answers: the page of the farm, its buttons, the questions of a task's page, and Terminate."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, ClassVar, TypeVar

from celery.states import READY_STATES
from flower.api.control import TaskRevoke
from flower.utils.tasks import get_task_by_id
from flower.views import BaseHandler
from flower.views.workers import WorkerView
from tornado.web import HTTPError, RequestHandler, authenticated

from common.errors import PlotmanError
from common.model.address import is_loopback_host, is_same_site
from common.model.snapshot import Event
from common.model.text import log_text, one_line
from common.names import KILL, Role
from common.store import Board
from plotman.control import farm
from plotman.flower import orders, sections, tasks
from plotman.flower.events import shown
from plotman.flower.page import Page
from plotman.flower.trends import TrendReader

log = logging.getLogger(__name__)

_FRESH_S = 0.5  # many browsers share one read of the board
_RIGHTS_S = 60.0  # how long the answer holds whether Redis lets this user order
_TIMEOUT_S = 5.0
T = TypeVar("T")


class FarmView(BaseHandler):
    """The page. Its script loads the content."""

    @authenticated
    def get(self) -> None:
        self.render("farm.html")


class _Reading(BaseHandler):
    """Base of what reads the farm, which may take seconds."""

    async def read(self, what: Callable[[], T]) -> T | None:
        """Call `what` outside of Tornado's thread; None: the answer is its error already."""
        self.set_header("Cache-Control", "no-store")
        try:
            return await asyncio.get_running_loop().run_in_executor(None, what)
        except PlotmanError as error:
            self.set_status(503)
            self.set_header("Content-Type", "text/plain; charset=UTF-8")
            self.finish(str(error))
            return None


class FarmTables(_Reading):
    """The content of the page, a fragment of HTML. The browser loads it every two seconds."""

    _rendered: ClassVar[tuple[Page | None, bytes]] = (None, b"")

    @authenticated
    async def get(self) -> None:
        wanted = not self.application.options.read_only
        if page := await self.read(lambda: _pages.page(wanted)):
            if FarmTables._rendered[0] is not page:  # many browsers share the work
                FarmTables._rendered = (page, self.render_string("farm_tables.html", page=page))
            self.write(FarmTables._rendered[1])


class FarmOrder(_Reading):
    """POST of a button. The answer is JSON: ok, and text with the outcome.

    Only Flower's own page may send it, and only with the token against forged requests, which Flower itself
    asks for in fewer cases.
    """

    def prepare(self) -> None:
        options, headers = self.application.options, self.request.headers
        if not (options.basic_auth or options.auth):
            ours = is_our_page(self.request.host, headers.get("Origin"), headers.get("Sec-Fetch-Site"))
            if not ours:
                raise HTTPError(403, "Only Flower's own page, on this machine, may give orders.")
        super().prepare()

    def check_xsrf_cookie(self) -> None:
        super().check_xsrf_cookie()  # Flower's: the origin
        RequestHandler.check_xsrf_cookie(self)  # Tornado's: the token

    @authenticated
    async def post(self) -> None:
        if self.application.options.read_only:
            raise HTTPError(403, "Flower runs with --read_only: it gives no orders.")
        # Not Flower's get_argument, which escapes for HTML: a folder may have an & in its name.
        given = {name: RequestHandler.get_argument(self, name, "", strip=False) for name in _ORDER_FIELDS}
        order = orders.Order(**given)
        log.info("order of the page: %s", one_line(" ".join(filter(None, given.values())), 500))
        self.set_header("Cache-Control", "no-store")
        try:
            outcome = await asyncio.get_running_loop().run_in_executor(
                _order_threads, lambda: orders.run(order, _reader.farm())
            )
        except (PlotmanError, ValueError) as error:
            outcome = orders.Outcome(False, log_text(str(error)))
        self.write(asdict(outcome))


class TaskEnd(_Reading):
    """JSON for the page of a task. question: to ask before Terminate. over: whether Flower knows that the
    task has ended. ending: how its plot ended."""

    @authenticated
    async def get(self, task_id: str) -> None:
        task = get_task_by_id(self.application.events, task_id)
        name, state = (task.name, task.state) if task else (None, None)
        if answer := await self.read(lambda: _of_task(task_id, name)):
            self.write({**answer, "over": state in READY_STATES})


class WorkerPage(WorkerView):
    """Flower's page of one worker. It shows the answers of the worker, which any worker may forge."""

    async def get(self, name: str) -> None:
        try:
            await super().get(name)
        except HTTPError:
            raise
        except Exception:  # noqa: BLE001
            log.warning("%s gives an answer that Flower cannot show", one_line(name, 300))
            self.clear()
            self.set_status(503)
            self.set_header("Content-Type", "text/plain; charset=UTF-8")
            self.finish("The worker's answer has another form than an answer of Celery. Load the page again.")


_ORDER_FIELDS = ("action", "host", "task_id", "place")
# Their own: hosts that do not answer must not keep the page from being read.
_order_threads = ThreadPoolExecutor(4, thread_name_prefix="order")
_trends = TrendReader()


class _Pages:
    """Makes the page once for each state of the farm."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: farm.FarmState | None = None
        self._page: Page | None = None

    def page(self, orders_wanted: bool) -> Page:
        """Return the page. orders_wanted: False: without buttons; the same at each call."""
        with self._lock:
            state = _reader.farm()
            if self._page is None or self._of is not state:
                may_order = orders_wanted and _reader.may_order()
                self._page = sections.page(state, _trends.trends(), _reader.newest(), may_order)
                self._of = state
            return self._page


_pages = _Pages()


def _of_task(task_id: str, name: str | None) -> dict[str, Any]:
    question = tasks.question(task_id, name, _reader.farm())
    end = tasks.ending(task_id, _reader.events())
    ended = {"text": end.text, "at": end.at.isoformat()} if end else None
    return dict(shown({"question": asdict(question), "ending": ended}))


class _Reader:
    """Reads the farm, at most twice a second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._board: Board | None = None
        self._known: dict[tuple[Role, str], tuple[str, Any]] = {}
        self._farm: farm.FarmState | None = None
        self._read_s = 0.0
        self._newest: list[Event] = []
        self._may_order = False
        self._asked_s = float("-inf")

    def farm(self) -> farm.FarmState:
        with self._lock:
            if self._farm is None or time.monotonic() - self._read_s > _FRESH_S:
                self._farm = farm.read_farm(self._connected(), self._known)
                self._newest = self._last_events(sections.EVENTS)
                self._read_s = time.monotonic()
            return self._farm

    def newest(self) -> list[Event]:
        """The newest events when the farm was read."""
        return self._newest

    def events(self) -> list[Event]:
        with self._lock:
            return self._last_events(tasks.EVENTS)

    def may_order(self) -> bool:
        """Whether the user of Redis may order plotters: the page offers no button that Redis would refuse."""
        with self._lock:
            if time.monotonic() - self._asked_s > _RIGHTS_S:
                self._may_order = self._connected().may_order()
                self._asked_s = time.monotonic()
            return self._may_order

    def _last_events(self, most: int) -> list[Event]:
        return [event for _, event in self._connected().newest_events(most)]

    def _connected(self) -> Board:
        self._board = self._board or farm.board(_TIMEOUT_S)
        return self._board


_reader = _Reader()


class Revoke(TaskRevoke):
    """Flower's Revoke and Terminate: also for plots whose worker is down, and without a password here.

    Flower broadcasts the command: a worker that is down never receives it, but its plot continues. The kill
    is sent to the queue of its host instead, where it waits for the worker.

    Without a password Flower refuses all of its buttons, unless FLOWER_UNAUTHENTICATED_API opens them to
    every web page in a browser on this machine (flower 2.2). Here Terminate works without a password for
    requests from Flower's own page. With a password nothing changes.
    """

    def prepare(self) -> None:
        options = self.application.options
        if options.basic_auth or options.auth or self.unauthenticated_api:
            super().prepare()
        elif not is_our_page(
            self.request.host, self.request.headers.get("Origin"), self.request.headers.get("Sec-Fetch-Site")
        ):
            raise HTTPError(
                403, "Without flower_auth only Flower's own page, on this machine, may terminate tasks."
            )

    @authenticated
    async def post(self, taskid: str) -> None:
        """Kill the plot through its host's queue; leave other tasks to Flower."""
        host = None
        if self.get_argument("terminate", False, type=bool) and not self.application.options.read_only:
            host = await asyncio.get_running_loop().run_in_executor(None, _host_of_plot, taskid)
        if host is None:
            await super().post(taskid)
            return
        order = {"kwargs": {"host": host, "plot": taskid}, "ignore_result": True}
        await self.run_blocking("plot.kill", taskid, self.capp.send_task, KILL, **order)
        self.write({"message": f"{host} kills the plot; if its worker is down, as soon as it is up again."})


def _host_of_plot(task_id: str) -> str | None:
    """The host that makes this plot, from the board: Flower may not know the task yet. None if unknown."""
    try:
        jobs = _reader.farm().jobs()
    except PlotmanError:
        return None
    return next((host for host, job in jobs if job.task_id == task_id), None)


def is_our_page(host: str, origin: str | None, site: str | None) -> bool:
    """Whether a request comes from a page of this server, in a browser on this machine.

    Args:
        host: header `Host`. Other names than local ones may point here by DNS rebinding.
        origin: header `Origin`, which pages cannot forge.
        site: header `Sec-Fetch-Site`, which pages cannot forge; None from older browsers.
    """
    if site is not None and site != "same-origin":
        return False
    return is_loopback_host(host) and origin is not None and is_same_site(origin, host)
