"""Adds plotman's pages to Flower, before `celery -A plotman flower` creates its application.

Flower 2.2 has no plug-ins. This module depends on: `flower.urls.handlers` and `flower.urls.settings`, which
Flower reads when it creates the application; the options `tasks_columns` and `format_task`; Tornado's
`template_loader` and `compress_response`; the call of `time.sleep` and the name `EventReceiver` in
`flower.events`; the names `Inspector`, `HTTPServer` and `bind_sockets` in
`flower.app`.
"""

from __future__ import annotations

import logging
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from flower import app, events, urls
from flower.api.control import TaskRevoke
from flower.options import options
from flower.views.workers import WorkerView
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.template import Loader, Template
from tornado.web import URLSpec, url

from plotman.flower.events import Inspector, Receiver
from plotman.flower.guard import guarded
from plotman.flower.handlers import FarmOrder, FarmTables, FarmView, Revoke, TaskEnd, WorkerPage
from plotman.flower.tasks import format_task

log = logging.getLogger(__name__)

# uuid opens the page of the task, which has what is missing here.
TASKS_COLUMNS = "name,uuid,state,kwargs,result,received,runtime,worker"
LONGEST_S = 15.0  # pause before Flower connects to Redis again
# Tornado reads a body before a handler asks for the password; its defaults: 100 MB a connection, an hour.
_HTTP_LIMITS = {
    "max_header_size": 1 << 15,
    "max_body_size": 1 << 20,
    "body_timeout": 10,  # s
    "idle_connection_timeout": 60,  # s
}
_OURS = Path(__file__).parent / "templates"
# Flower's navigation cannot be extended: our page is inserted after its last entry (navbar.html, flower 2.2).
_LAST_ENTRY = """>Broker</a>
        </li>
"""
# Flower binds its button to this id and acts at the first click (task.html and flower.js, flower 2.2). With
# another id only our script handles the click, and asks before.
_FLOWERS_BUTTON = 'id="task-terminate"'
_OUR_BUTTON = 'id="plotman-terminate"'
# What all pages of Flower get (base.html, flower 2.2).
_HEAD_END = "</head>"
_ENTRY = """        <li class="nav-item">
          <a class="nav-link{% if active_tab == 'farm' %} active{% end %}"
            href="{{ reverse_url('farm') }}"
            {% if active_tab == 'farm' %}aria-current="page"{% end %}>Farm</a>
        </li>
"""


def install() -> None:
    """Add the pages. No-op when called again."""
    if any(getattr(handler, "name", None) == "farm" for handler in urls.handlers):
        return
    ours = [
        url(r"/farm", FarmView, name="farm"),
        url(r"/farm/tables", FarmTables),
        url(r"/farm/order", FarmOrder),
        url(r"/farm/task/(.+)", TaskEnd),
    ]
    urls.handlers[:] = [_guarded(handler) for handler in (*ours, *urls.handlers)]
    urls.settings["compress_response"] = True  # a large farm's page: 30 kB in place of 1 MB, each two seconds
    urls.settings["template_loader"] = TemplateLoader(urls.settings["template_path"])
    events.time = ReconnectPause()
    events.EventReceiver = Receiver
    app.Inspector = Inspector
    app.HTTPServer = partial(HTTPServer, **_HTTP_LIMITS)
    app.bind_sockets = _listening
    options.tasks_columns = TASKS_COLUMNS  # defaults: Flower reads the command line and the environment later
    options.format_task = format_task


def _listening(port: int, address: str | None = None) -> Any:
    """Open the page's sockets, or end Flower with the cause and the cure in place of a traceback."""
    try:
        return bind_sockets(port, address=address)
    except OSError as error:
        print(  # noqa: T201
            f"plotman: Flower's page cannot be served on {address or ''}:{port}: {error.strerror or error}. "
            "Choose another (farm.flower_port, farm.flower_address).",
            file=sys.stderr,
        )
        sys.exit(1)


def _guarded(handler: Any) -> Any:
    """handler: Tornado's `url`, or (pattern, class, ...)."""
    theirs = handler.handler_class if isinstance(handler, URLSpec) else handler[1]
    ours = guarded({TaskRevoke: Revoke, WorkerView: WorkerPage}.get(theirs, theirs))
    if isinstance(handler, URLSpec):
        handler.handler_class = handler.target = ours
        return handler
    return (handler[0], ours, *handler[2:])


class TemplateLoader(Loader):
    """Flower's templates and ours. Adds an entry to Flower's navigation, a question before Terminate, and to
    all pages what makes them fit plotman: narrow windows, and no orders that workers refuse."""

    def __init__(self, flowers: str, **settings: Any) -> None:
        super().__init__(flowers, **settings)
        self._flowers = Path(flowers)
        self._templates: dict[str, Template] = {}

    def load(self, name: str, parent_path: str | None = None) -> Template:
        path = self.resolve_path(name, parent_path=parent_path)
        if path not in self._templates:
            text = self._text(path)
            if text is None:
                return super().load(name, parent_path)
            self._templates[path] = Template(text, name=path, loader=self)
        return self._templates[path]

    def _text(self, path: str) -> str | None:
        """Text of a template; None: load Flower's unchanged."""
        if (_OURS / path).is_file():
            return (_OURS / path).read_text(encoding="utf-8")
        ours = {"base.html": self._base, "navbar.html": self._navigation, "task.html": self._task}
        changed = ours.get(path)
        return changed() if changed else None

    def _base(self) -> str | None:
        text = (self._flowers / "base.html").read_text(encoding="utf-8")
        if text.count(_HEAD_END) != 1:
            log.warning("Flower's pages have changed: they offer orders that workers refuse")
            return None
        return text.replace(_HEAD_END, (_OURS / "all_pages.html").read_text(encoding="utf-8") + _HEAD_END)

    def _navigation(self) -> str | None:
        text = (self._flowers / "navbar.html").read_text(encoding="utf-8")
        if text.count(_LAST_ENTRY) != 1:
            log.warning("Flower's navigation has changed; the page of the farm is at /farm")
            return None
        return text.replace(_LAST_ENTRY, _LAST_ENTRY + _ENTRY)

    def _task(self) -> str | None:
        text = (self._flowers / "task.html").read_text(encoding="utf-8")
        if text.count(_FLOWERS_BUTTON) != 1 or "extra_scripts" in text:
            log.warning("Flower's page of a task has changed: its Terminate acts without a question")
            return None
        question = (_OURS / "task_end.html").read_text(encoding="utf-8")
        return text.replace(_FLOWERS_BUTTON, _OUR_BUTTON) + question


class ReconnectPause:
    """Replaces the module `time` in `flower.events`, which calls `sleep` for this pause only.

    Flower 2.2 doubles its pause before it connects to Redis again, without a limit: after an hour without
    Redis it would receive no events for up to another hour.
    """

    def sleep(self, pause_s: float) -> None:
        time.sleep(min(pause_s, LONGEST_S))

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)
