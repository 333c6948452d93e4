"""`celery -A plotman call` and `result`: what would be lost, or end in a traceback, is one line.

Celery sends any task with any arguments. A task of another name, without a host, or for a host that nobody
ever saw would stay in a queue that no worker reads.
"""

from __future__ import annotations

import sys
from difflib import get_close_matches
from types import TracebackType
from typing import Any

import click
from celery import Celery
from redis.exceptions import NoPermissionError

from common.errors import BrokerError, ExitCode, PlotmanError
from common.model.text import one_line
from common.names import ROLE_OF_TASK


class Unroutable(PlotmanError):
    """No worker would take the task."""

    exit_code = ExitCode.NOTHING


def install(app: Celery) -> None:
    """Check what `celery call` sends by this app, and print errors of ours in a line."""
    app.conf.task_routes = (check_call, *app.conf.task_routes)
    sys.excepthook = _in_a_line


def check_call(name: str, args: Any, kwargs: Any, options: Any, **_: Any) -> None:  # noqa: ARG001
    """Route nothing, as a router of Celery. Raises Unroutable for a call that no worker would take."""
    context = click.get_current_context(silent=True)
    if context is not None and context.info_name == "call":
        _must_be_taken(name, kwargs or {})


def _must_be_taken(name: str, kwargs: dict[str, Any]) -> None:
    from plotman.control.farm import board

    role = ROLE_OF_TASK.get(name)
    if role is None:
        near = get_close_matches(name, ROLE_OF_TASK, 1, 0.0)[0]
        raise Unroutable(f"plotman has no task {name}.", f"Did you mean {near}?")
    try:
        known = board().last_words(role)
    except BrokerError as error:
        if isinstance(error.__cause__, NoPermissionError):  # a user who may send to its own host only
            return
        raise
    seen = f"Those that were ever seen: {', '.join(sorted(known)) or 'none'}."
    host = kwargs.get("host")
    if not isinstance(host, str):
        raise Unroutable(
            f"{name} needs the name of a {role}.", f"""Add --kwargs '{{"host": "NAME", ...}}'. {seen}"""
        )
    if host not in known:
        raise Unroutable(f"No {role} is called {host}.", seen)
    if not known[host][1]:
        click.echo(
            f"plotman: the {role} of {host} does not report; it takes the task when it is back.", err=True
        )


def _in_a_line(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if isinstance(error, PlotmanError):
        click.echo(one_line(f"plotman: {error}"), err=True)
    else:
        sys.__excepthook__(kind, error, traceback)
