"""Kombu's transport for Redis, made robust: malformed messages do not end the worker, and no message that was
taken from a queue is lost.

Kombu 5.7 raises the errors of json and of missing keys in the worker's main loop: the worker ends, and its
successor ends with the next such message. It also records each message that it takes in Redis, over a
connection that may have died while idle: the record fails, and the message is in no queue any more.

No script runs here: a worker's user may run none, since one that never ends would stop Redis for all.

An idle worker also wakes less often here. All this leans on Kombu's internals;
tests/integration/common/worker/test_transport.py fails when these move.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from json import JSONDecodeError
from typing import Annotated, Any
from uuid import uuid4

from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis
from kombu.utils.encoding import bytes_to_str
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from redis.backoff import NoBackoff
from redis.retry import Retry

from common.model.messages import OneLine
from common.model.text import one_line

log = logging.getLogger(__name__)

# How long a worker waits for a message before it asks again; kombu's default is 1 s. A worker that stops
# waits for the end of this, so that no message from Redis is lost.
_ASK_S = 2
# Kombu checks each second whether an hour has passed.
_BINDINGS_S = 10
_LONGEST_REASON = 200

_Name = Annotated[OneLine, Field(max_length=255)]
_Text = Annotated[str, Field(max_length=65_536)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)


class _Route(_Part):
    exchange: OneLine
    routing_key: OneLine


class _Properties(_Part):
    delivery_tag: _Name
    delivery_info: _Route
    correlation_id: _Name | None = None
    reply_to: _Name | None = None


def _is_ours(task: str) -> str:
    """celery.chord_unlock tries again for ever, and celery.map runs others: no plotman sends any of them."""
    if task.startswith("celery."):
        raise ValueError("is a task of Celery's own")
    return task


class _Headers(_Part):
    """Celery's headers that its main loop, log and events use unchecked. No plotman compresses."""

    id: _Name | None = None
    task: Annotated[_Name, AfterValidator(_is_ours)] | None = None
    root_id: _Name | None = None
    parent_id: _Name | None = None
    group: _Name | None = None
    origin: _Name | None = None
    shadow: _Name | None = None
    eta: _Name | None = None
    expires: _Name | float | None = None  # a broadcast's is a Unix time
    timelimit: Annotated[list[float | None], Field(min_length=2, max_length=2)] | None = None
    retries: int | None = None
    argsrepr: _Text | None = None  # Celery leaves line ends in it
    kwargsrepr: _Text | None = None
    compression: None = None
    ignore_result: bool | None = None
    replaced_task_nesting: int | None = None
    stamped_headers: list[_Name] | None = None
    stamps: dict[str, Any] | None = None


class _Envelope(_Part):
    content_type: _Name | None = Field(None, alias="content-type")
    content_encoding: _Name | None = Field(None, alias="content-encoding")
    properties: _Properties
    headers: _Headers | None = None


@contextmanager
def _mutex(client: Any, name: str, expire: int) -> Iterator[None]:
    """Do what kombu's Mutex does, without a script. A lock that has expired meanwhile may be another's."""
    mark = uuid4().hex
    if not client.set(name, mark, nx=True, ex=expire):
        raise kombu_redis.MutexHeld
    try:
        yield
    finally:
        if bytes_to_str(client.get(name)) == mark:
            client.delete(name)


class Channel(kombu_redis.Channel):
    @staticmethod
    def _refresh_binding(keys: Sequence[str], args: Sequence[Any], client: Any) -> None:
        """Bind a queue that expires. Kombu's script also notes when the whole exchange expires."""
        client.sadd(keys[0], args[0])

    def sweep_bindings(self, limit: int = 100) -> int:  # noqa: ARG002
        """Delete no exchange: plotman has a few, which are always in use."""
        return 0

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        parameters: dict[str, Any] = super()._connparams(asynchronous)
        # Not for the two listening connections: kombu must see them end, or it would wait on dead sockets.
        if not asynchronous:
            parameters["retry"] = Retry(NoBackoff(), 1)
        return parameters

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        except (JSONDecodeError, RecursionError) as error:
            log.error("dropped a message that is not JSON: %s", error, extra={"action": "garbage"})
            return None


class Transport(kombu_redis.Transport):
    Channel = Channel

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Kombu calls this for a worker's connections only."""
        super().register_with_event_loop(connection, loop)
        for asking in (self, *self.channels):  # a connection creates its first channel
            asking.brpop_timeout = _ASK_S
        cycle = self.cycle
        cycle._binding_expiry_tref.cancel()
        cycle._binding_expiry_tref = loop.call_repeatedly(_BINDINGS_S, cycle.maybe_refresh_binding_expiry)

    def _deliver(self, message: Any, queue: str) -> None:
        if reason := self._unreadable(message):
            log.error(
                "dropped an entry of queue %s that is not a message: %s",
                queue,
                reason,
                extra={"action": "garbage"},
            )
            return
        super()._deliver(message, queue)

    def _unreadable(self, message: Any) -> str | None:
        """Why this is not a message; None if it is one. The consumer judges the body."""
        if not self.channels:
            return None
        try:
            self.channels[0].Message(message, channel=self.channels[0])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            return one_line(f"{type(error).__name__}: {error}", _LONGEST_REASON)
        try:
            _Envelope.model_validate(message)
        except ValidationError as error:
            return f"wrong in it: {', '.join(sorted({_place(problem['loc']) for problem in error.errors()}))}"
        return None


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location[:2]))


def install() -> None:
    """Use it for every redis:// and rediss:// address of this process."""
    kombu_redis.Mutex = _mutex
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{Transport.__name__}"
