"""Celery's consumer without messages to other workers. It accepts only tasks that plotman sends.

Mingle and gossip share revokes among workers of one queue and hold elections; here every queue has one
worker. Without them a start is a second faster, and no worker broadcasts commands: an ACL can then forbid
machines to command each other (plotman.control.secrets.acl).

A body that Celery 5.7 does not expect ends the worker, and its successor with the next such message. It also
names the tasks that the worker sends afterwards, with its own rights, and may replace any field of the task.
"""

from __future__ import annotations

import inspect
import json
import logging
import signal
from collections.abc import Callable
from typing import Annotated, Any, Literal

from celery.exceptions import NotRegistered
from celery.utils.objects import Bunch
from celery.worker.consumer import Consumer as CeleryConsumer
from celery.worker.consumer.control import Control
from celery.worker.control import Panel
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from common.model.messages import OneLine
from common.names import ADMIT, ARCHIVE_TO_TARGET, RELEASE, RESERVE, TRANSFER
from common.worker.transport import log_dropped

log = logging.getLogger(__name__)

# The only tasks that follow others: the next step of a move.
_NEXT = {RESERVE: TRANSFER, ADMIT: RELEASE, ARCHIVE_TO_TARGET: RELEASE}
# The commands of Celery that plotman, its operators and Flower's pages need. The others change what a worker
# consumes and how much at a time, or write files.
_COMMANDS = frozenset(
    (
        *("ping", "stats", "conf", "clock", "heartbeat", "enable_events", "shutdown", "revoke", "terminate"),
        *("registered", "active_queues", "active", "reserved", "scheduled", "revoked", "query_task"),
    )
)
_Name = Annotated[OneLine, Field(max_length=255)]


class _Known(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Options(_Known):
    task_id: _Name
    reply_to: _Name | None = None
    argsrepr: OneLine = ""
    kwargsrepr: OneLine = ""


class _Host(_Known):
    host: OneLine


class _Next(_Known):
    """Of a move's next step, whose other argument is the answer of this one."""

    task: str
    args: Annotated[list[None], Field(max_length=0)]
    kwargs: _Host
    options: _Options
    subtask_type: None = None
    immutable: Literal[False] = False


class _Links(_Known):
    callbacks: None = None
    errbacks: None = None
    chord: None = None
    chain: Annotated[list[_Next], Field(max_length=1)] | None = None


class _Address(_Known):
    exchange: Literal["reply.celery.pidbox"]
    routing_key: _Name


def _is_signal(name: str) -> str:
    if f"SIG{name.removeprefix('SIG')}" not in signal.Signals.__members__:
        raise ValueError("is no signal")
    return name


_Names = _Name | Annotated[list[_Name], Field(max_length=1000)]


class _Arguments(_Known):
    """Of all _COMMANDS; None: not given."""

    task_id: _Names | None = None
    ids: _Names | None = None
    terminate: bool | Literal[0, 1] | None = None  # Flower sends 1
    signal: Annotated[str, AfterValidator(_is_signal)] | None = None
    msg: OneLine | None = None
    safe: bool | None = None
    with_defaults: bool | None = None
    taskinfoitems: list[_Name] | None = None


def _is_known(method: str) -> str:
    if method not in _COMMANDS:
        raise ValueError("is no command that plotman takes")
    return method


class _Command(_Known):
    """A broadcast (`celery control`, `celery inspect`, Flower)."""

    method: Annotated[str, AfterValidator(_is_known)]
    arguments: _Arguments = _Arguments()
    destination: list[_Name] | None = None
    pattern: None = None
    matcher: None = None
    ticket: _Name | None = None
    reply_to: _Address | None = None


class Consumer(CeleryConsumer):
    """Set as `worker_consumer`, so that it applies to workers that are started by hand too."""

    def __init__(self, *args: Any, worker_options: dict[str, Any] | None = None, **options: Any) -> None:
        alone = {"without_mingle": True, "without_gossip": True}
        super().__init__(*args, worker_options={**(worker_options or {}), **alone}, **options)
        for name in [name for name in self.app.tasks if name.startswith("celery.")]:
            self.app.tasks.unregister(name)  # celery.chord_unlock tries for ever, celery.map runs others
        for box in [step.box for step in self.steps if isinstance(step, Control)]:
            box.on_message = self._only_commands(box.on_message)

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Any], Any]:
        """Celery calls this once for each connection."""
        handle: Callable[[Any], Any] = super().create_task_handler(*args, **options)

        def on_task_received(message: Any) -> Any:
            if (reason := wrong(message)) is None:
                return handle(message)
            return self._drop(message, reason)

        return on_task_received

    def _only_commands(self, handle: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        def on_message(body: Any, message: Any) -> None:
            if _is_command(body):
                handle(body, message)
            else:
                self._drop(message, "it is no command for workers of plotman")

        return on_message

    def _drop(self, message: Any, reason: str) -> None:
        info = message.delivery_info
        log_dropped(info["routing_key"] or info["exchange"], len(message.body or ""), reason)
        message.ack_log_error(log, self.connection_errors)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        self._drop(message, f"it cannot be read ({type(exc).__name__})")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002
        """Answer that this plotman does not know the task. Celery would log the whole message."""
        task_id, name = message.headers["id"], message.headers["task"]
        self._drop(message, f"no task is called {name}")
        request = Bunch(
            name=name, chord=None, errbacks=None, root_id=None, correlation_id=None, reply_to=None
        )
        self.app.backend.mark_as_failure(task_id, NotRegistered(name), request=request)


def wrong(message: Any) -> str | None:
    """Why this message of kombu's is none of a task, for a log; None where it is one. Its headers are those
    that common.worker.transport let through."""
    headers = message.headers or {}
    if not headers.get("task") or not headers.get("id"):
        return "it names no task"  # Celery's first protocol has the headers in its body
    if message.content_type != "application/json":
        return "it is not JSON"
    try:
        args, kwargs, links = json.loads(message.body, object_hook=_plain)
        # Celery calls a task with its own `self` beside these arguments.
        if isinstance(args, list) and isinstance(kwargs, dict) and "self" not in kwargs:
            following = _Links.model_validate(links or {}).chain or []
            if all(one.task == _NEXT.get(headers["task"]) for one in following):
                return None
    except (ValueError, TypeError, RecursionError, ValidationError):
        pass
    return "its body is not a task's"


def _is_command(body: Any) -> bool:
    try:
        command = _Command.model_validate(body)
        arguments = command.arguments.model_dump(exclude_unset=True)
        inspect.signature(Panel.data[command.method]).bind(None, **arguments)
    except (ValidationError, TypeError):
        return False
    return True


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """Raise ValueError for an object of which kombu makes another type than JSON's, or fails to."""
    if "__type__" in value:
        raise ValueError("not a type of JSON")
    return value
