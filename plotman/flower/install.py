"""Puts what is ours into Flower, before `celery -A plotman flower` makes its application.

Flower 2.2 has no plug-ins. What we lean on: `flower.urls.handlers` and `flower.urls.settings`, which are read
when the application is made; the options `tasks_columns` and `format_task`; Tornado's `template_loader`; that
`flower.events` sleeps by `time.sleep`.
"""

from __future__ import annotations

from typing import Any

# What a farmer asks first; uuid comes last, so that it can be cut off.
TASKS_COLUMNS = "name,kwargs,state,result,received,started,runtime,worker,uuid"


def install() -> None:
    """Once for each process."""
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
    urls.handlers[:] = [_with(Revoke, TaskRevoke, handler) for handler in urls.handlers]
    urls.handlers[:0] = [
        url(r"/farm", FarmView, name="farm"),
        url(r"/farm/tables", FarmTables),
        url(r"/farm/task/(.+)", TaskEnd),
    ]
    urls.settings["template_loader"] = TemplateLoader(urls.settings["template_path"])
    events.time = ReconnectPause()
    options.tasks_columns = TASKS_COLUMNS  # the command line and the environment are read after this
    options.format_task = format_task


def _with(ours: type, theirs: type, handler: Any) -> Any:
    if isinstance(handler, tuple) and handler[1] is theirs:
        return (handler[0], ours, *handler[2:])
    return handler
