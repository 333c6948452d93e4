"""Celery's events and the answers of workers, checked before Flower keeps them.

Any worker may send them in the name of another.

Flower 2.2 calculates with their fields when it draws a page, so that one wrong field makes the page of all
workers an error.
"""

from __future__ import annotations

import logging
import time
from typing import Annotated, Any, Literal

from celery.events import EventReceiver
from flower import inspector
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from common.model.text import log_text, one_line
from common.names import ROLE_OF_TASK, role_and_host

log = logging.getLogger(__name__)

_WARN_EACH_S = 60.0
_LATEST_S = 250_000_000_000.0  # the year 9892: Flower writes times as dates
_NAME = 255


def _is_node(name: str) -> str:
    if role_and_host(name) is None:
        raise ValueError("is no node of plotman")
    return name


def _is_task(name: str) -> str:
    if name not in ROLE_OF_TASK:
        raise ValueError("is no task of plotman")
    return name


_Name = Annotated[str, Field(max_length=_NAME), AfterValidator(one_line)]
_Line = Annotated[str, AfterValidator(one_line)]
_Text = Annotated[str, AfterValidator(lambda text: log_text(text[:65_536]))]
_Count = Annotated[int, Field(ge=0, lt=2**63)]
_Seconds = Annotated[float, Field(ge=0, lt=_LATEST_S, allow_inf_nan=False)]
_Load = Annotated[float, Field(ge=0, lt=1e9, allow_inf_nan=False)]


class FlowerEvent(BaseModel):  # type: ignore[no-redef]
    """The fields that Flower and Celery's state of the farm read, each of its one type."""

    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)

    type: Literal[
        "worker-online",
        "worker-heartbeat",
        "worker-offline",
        "task-sent",
        "task-received",
        "task-started",
        "task-progress",
        "task-succeeded",
        "task-failed",
        "task-rejected",
        "task-revoked",
        "task-retried",
    ]
    hostname: Annotated[_Name, AfterValidator(_is_node)]
    timestamp: _Seconds
    utcoffset: Annotated[float, Field(ge=-24, le=24, allow_inf_nan=False)] = 0
    clock: _Count = 0
    pid: _Count = 0
    freq: Annotated[float, Field(gt=0, le=3600)] | None = None
    active: _Count | None = None
    processed: _Count | None = None
    loadavg: Annotated[list[_Load], Field(min_length=3, max_length=3)] | None = None
    sw_ident: _Name | None = None
    sw_ver: _Name | None = None
    sw_sys: _Name | None = None
    uuid: _Name | None = None
    name: Annotated[_Name, AfterValidator(_is_task)] | None = None
    args: _Line | None = None
    kwargs: _Line | None = None
    result: _Line | None = None
    exception: _Line | None = None
    traceback: _Text | None = None
    root_id: _Name | None = None
    parent_id: _Name | None = None
    eta: _Name | None = None
    expires: _Name | None = None
    queue: _Name | None = None
    exchange: _Name | None = None
    routing_key: _Name | None = None
    retries: _Count | None = None
    runtime: _Seconds | None = None
    started: _Seconds | None = None
    terminated: bool | None = None
    expired: bool | None = None
    requeue: bool | None = None
    signum: _Count | _Name | None = None


def checked(body: object) -> dict[str, Any] | None:
    """The known fields of an event, cleaned. None: it is no event of a plotman."""
    try:
        event = FlowerEvent.model_validate(body).model_dump(exclude_unset=True)
    except ValidationError:
        return None
    return event if event["type"].startswith("worker-") or event.get("uuid") else None


_Json = dict[str, Any]


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, hide_input_in_errors=True)


class _Broker(_Part):
    broker: _Json


class _Stats(_Part):
    pool: _Json = {}
    broker: _Json
    consumer: _Broker | None = None
    autoscaler: _Json | None = None
    total: dict[str, int]


class _Queue(_Part):
    name: str
    exclusive: Any
    durable: Any
    routing_key: Any
    no_ack: Any
    alias: Any
    queue_arguments: Any
    binding_arguments: Any
    auto_delete: Any


class _Task(_Part):  # type: ignore[no-redef]
    id: str
    name: str
    args: Any
    kwargs: Any
    acknowledged: Any
    worker_pid: Any


class _Scheduled(_Part):
    request: _Task


# Answers to the questions of Flower's pages, with what its templates read.
_ANSWERS: dict[str, TypeAdapter[Any]] = {
    "stats": TypeAdapter(_Stats),
    "conf": TypeAdapter(_Json),
    "active_queues": TypeAdapter(list[_Queue]),
    **dict.fromkeys(("registered", "revoked"), TypeAdapter(list[str])),
    **dict.fromkeys(("active", "reserved"), TypeAdapter(list[_Task])),
    "scheduled": TypeAdapter(list[_Scheduled]),
}
_DEEPEST, _MOST_ENTRIES = 10, 1000


def shown(value: Any, depth: int = 0) -> Any:
    """A value of JSON whose texts are cleaned for a page; what is too long or nested too deeply is cut."""
    if isinstance(value, str):
        return one_line(value)
    if depth > _DEEPEST:
        return "..."
    if isinstance(value, dict):
        entries = list(value.items())[:_MOST_ENTRIES]
        return {one_line(str(key), _NAME): shown(each, depth + 1) for key, each in entries}
    if isinstance(value, list | tuple):
        return [shown(each, depth + 1) for each in value[:_MOST_ENTRIES]]
    return value


class Inspector(inspector.Inspector):
    """Flower's inspector, without answers that no worker of plotman gives."""

    def _on_update(self, workername: str, method: str, response: Any) -> None:
        if role_and_host(workername) is None:
            return
        try:
            _ANSWERS[method].validate_python(response)
        except ValidationError:
            log.warning("%s gives an answer to %r that no worker gives", workername, method)
        else:
            super()._on_update(workername, method, shown(response))


class Receiver(EventReceiver):
    """Celery's receiver, without events that no plotman sent."""

    _dropped = 0
    _warned_s = float("-inf")

    def event_from_message(self, body: Any, *args: Any, **kwargs: Any) -> tuple[str, dict[str, Any]]:
        event = checked(body)
        if event is None:
            self._warn()
            return "", {}
        found: tuple[str, dict[str, Any]] = super().event_from_message(event, *args, **kwargs)
        return found

    def process(self, type: str, event: dict[str, Any]) -> None:
        if type:
            super().process(type, event)

    def _warn(self) -> None:
        self._dropped += 1
        if time.monotonic() - self._warned_s >= _WARN_EACH_S:
            self._warned_s = time.monotonic()
            log.warning("dropped %d Celery events that no plotman sends", self._dropped)
            self._dropped = 0
