"""Celery's consumer without messages to other workers. It accepts only tasks that plotman sends.

Mingle and gossip share revokes among workers of one queue and hold elections; here every queue has one
worker. Without them a start is a second faster, and no worker broadcasts commands: an ACL can then forbid
machines to command each other (plotman.control.secrets.acl).

A body that Celery 5.7 does not expect ends the worker, and its successor with the next such message.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer
from pydantic import BaseModel, ConfigDict, ValidationError

log = logging.getLogger(__name__)


class _Known(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class _Options(_Known):
    link: None = None
    link_error: None = None
    chord: None = None


class _Signature(_Known):
    """Of a single task: a group or a chord among what follows keeps the worker's thread for ever."""

    task: str
    subtask_type: None = None
    options: _Options = _Options()


class _Links(_Known):
    """What follows a task: in plotman's chains, single tasks."""

    callbacks: None = None
    errbacks: None = None
    chord: None = None
    chain: list[_Signature] | None = None


class Consumer(CeleryConsumer):
    """Set as `worker_consumer`, so that it applies to workers that are started by hand too."""

    def __init__(self, *args: Any, worker_options: dict[str, Any] | None = None, **options: Any) -> None:
        alone = {"without_mingle": True, "without_gossip": True}
        super().__init__(*args, worker_options={**(worker_options or {}), **alone}, **options)

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Any], Any]:
        """Celery calls this once for each connection."""
        handle: Callable[[Any], Any] = super().create_task_handler(*args, **options)

        def on_task_received(message: Any) -> Any:
            if (reason := wrong(message)) is None:
                return handle(message)
            log.error("a message that is no task is dropped: %s", reason, extra={"action": "garbage"})
            return message.ack_log_error(log, self.connection_errors)

        return on_task_received


def wrong(message: Any) -> str | None:
    """Why this message of kombu's is none of a task, for a log; None where it is one. Its headers are those
    that common.worker.transport let through."""
    if "task" not in (message.headers or {}):
        return "it names no task"  # Celery's first protocol has the headers in its body
    if message.content_type != "application/json":
        return "it is not JSON"
    try:
        args, kwargs, links = json.loads(message.body)
        if isinstance(args, list) and isinstance(kwargs, dict):
            _Links.model_validate(links or {})
            return None
    except (ValueError, TypeError, RecursionError, ValidationError):
        pass
    return "its body is not a task's"
