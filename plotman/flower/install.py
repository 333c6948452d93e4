"""Adds plotman's pages to Flower, before `celery -A plotman flower` creates its application.

Flower 2.2 has no plug-ins. This module depends on: `flower.urls.handlers` and `flower.urls.settings`, which
Flower reads when it creates the application; the options `tasks_columns` and `format_task`; Tornado's
`template_loader`; the call of `time.sleep` in `flower.events`.
"""

from __future__ import annotations

from typing import Any

# The most important columns first; uuid last, where a narrow window cuts it off.
TASKS_COLUMNS = "name,kwargs,state,result,received,started,runtime,worker,uuid"


def install() -> None:
    """Add the pages. No-op when called again."""
    from flower import events, urls
    from flower.api.control import TaskRevoke
    from flower.options import options
    from tornado.web import url

    from plotman.flower.loader import TemplateLoader
    from plotman.flower.page import FarmTables, FarmView, TaskEnd
    from plotman.flower.reconnect import ReconnectPause
    from plotman.flower.results import format_task
    from plotman.flower.revoke import Revoke

    if any(getattr(handler, "name", None) == "farm" for handler in urls.handlers):
        return
    urls.handlers[:] = [_replaced(Revoke, TaskRevoke, handler) for handler in urls.handlers]
    urls.handlers[:0] = [
        url(r"/farm", FarmView, name="farm"),
        url(r"/farm/tables", FarmTables),
        url(r"/farm/task/(.+)", TaskEnd),
    ]
    urls.settings["template_loader"] = TemplateLoader(urls.settings["template_path"])
    events.time = ReconnectPause()
    options.tasks_columns = TASKS_COLUMNS  # defaults: Flower reads the command line and the environment later
    options.format_task = format_task


def _replaced(ours: type, theirs: type, handler: Any) -> Any:
    if isinstance(handler, tuple) and handler[1] is theirs:
        return (handler[0], ours, *handler[2:])
    return handler
