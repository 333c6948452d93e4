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

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import uuid4

from kombu import transport as kombu_transports
from kombu.transport import redis as kombu_redis
from kombu.transport import virtual
from kombu.utils.encoding import bytes_to_str
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from redis.backoff import NoBackoff
from redis.retry import Retry

from common.errors import BrokerError
from common.model.messages import OneLine
from common.store import Board
from common.store.farm_clock import CLOCK

log = logging.getLogger(__name__)

# How long a worker waits for a message before it asks again; kombu's default is 1 s. A worker that stops
# waits for the end of this, so that no message from Redis is lost.
_ASK_S = 2
# Kombu checks each second whether an hour has passed.
_BINDINGS_S = 10
# Of a message: the largest that plotman sends is the list of files of a cleanup, 100,000 of them in 12 MB.
_MOST_BYTES = 16 << 20

_Name = Annotated[OneLine, Field(max_length=255)]
_Text = Annotated[str, Field(max_length=65_536)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True, allow_inf_nan=False)


class _Route(_Part):
    exchange: OneLine
    routing_key: OneLine


class _Properties(_Part):
    delivery_tag: _Name
    delivery_info: _Route
    correlation_id: _Name | None = None
    reply_to: _Name | None = None
    body_encoding: Literal["base64"] | None = None


def _is_time(text: str) -> str:
    if datetime.fromisoformat(text).year > 9000:
        raise ValueError("is no time")
    return text


class _Headers(_Part):
    """The headers that plotman's Celery sends. A message keeps no others: Celery takes callbacks from unknown
    ones, which would make this worker send tasks with its own rights.

    No plotman compresses, sends tasks for later, retries, or gives a task another name, a group or a stamp.
    """

    lang: _Name | None = None
    id: _Name | None = None
    task: _Name | None = None
    root_id: _Name | None = None
    parent_id: _Name | None = None
    group: None = None
    group_index: None = None
    origin: _Name | None = None
    shadow: None = None
    eta: None = None
    # A broadcast's is a Unix time.
    expires: Annotated[_Name, AfterValidator(_is_time)] | Annotated[float, Field(ge=0, le=1e11)] | None = None
    timelimit: Annotated[list[None], Field(min_length=2, max_length=2)] | None = None
    retries: Literal[0] | None = None
    argsrepr: _Text | None = None  # Celery leaves line ends in it
    kwargsrepr: _Text | None = None
    compression: None = None
    ignore_result: bool | None = None
    replaced_task_nesting: Literal[0] | None = None
    stamped_headers: Annotated[list[None], Field(max_length=0)] | None = None
    stamps: Annotated[dict[str, Any], Field(max_length=0)] | None = None
    clock: Annotated[int, Field(ge=0, le=1 << 53)] | None = None


class _Envelope(_Part):
    body: str | None = None
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


class _Message(virtual.Message):
    """A message that expires by this machine's clock. What it is made of stays as it came: Kombu writes that
    back to the queue if the worker ends before the task does."""

    def __init__(self, payload: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(payload, *args, **kwargs)
        self.headers: dict[str, Any] = dict(payload.get("headers") or {})
        _correct(self.headers, -CLOCK.correction)


class Channel(kombu_redis.Channel):
    Message = _Message

    @staticmethod
    def _refresh_binding(keys: Sequence[str], args: Sequence[Any], client: Any) -> None:
        """Bind a queue that expires. Kombu's script also notes when the whole exchange expires."""
        client.sadd(keys[0], args[0])

    def maybe_refresh_binding_expiry(self) -> None:
        """While Redis refuses writes, try again next time. Kombu would log a traceback each time."""
        with suppress(self.ResponseError):
            super().maybe_refresh_binding_expiry()

    def sweep_bindings(self, limit: int = 100) -> int:  # noqa: ARG002
        """Delete no exchange: plotman has a few, which are always in use."""
        return 0

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        parameters: dict[str, Any] = super()._connparams(asynchronous)
        # Not for the two listening connections: kombu must see them end, or it would wait on dead sockets.
        if not asynchronous:
            parameters["retry"] = Retry(NoBackoff(), 1)
        return parameters


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
            size_bytes = message.size_bytes if isinstance(message, _Garbage) else len(json.dumps(message))
            log_dropped(queue, size_bytes, reason)
            return
        super()._deliver(message, queue)

    def _unreadable(self, message: Any) -> str | None:
        """Why this is not a message; None if it is one, now without unknown headers. The consumer judges the
        body."""
        if isinstance(message, _Garbage):
            return message.reason
        try:
            _Envelope.model_validate(message)
        except ValidationError as error:
            return f"wrong in it: {', '.join(sorted({_place(problem['loc']) for problem in error.errors()}))}"
        if message.get("headers"):
            message["headers"] = {
                name: value for name, value in message["headers"].items() if name in _Headers.model_fields
            }
        try:
            if self.channels:
                self.channels[0].Message(message, channel=self.channels[0])
        except ValueError:
            return "its body has another encoding"
        return None


def _correct(headers: dict[str, Any], by: timedelta) -> None:
    """Make the time at which a message expires later by `by`. Messages have it by the farm's clock; Celery
    compares it with this machine's."""
    expires = headers.get("expires")
    with suppress(OverflowError, ValueError):
        if isinstance(expires, str):
            headers["expires"] = (datetime.fromisoformat(expires) + by).isoformat()
        elif expires:
            headers["expires"] = expires + by.total_seconds()


def correct_expiry(headers: dict[str, Any], url: str) -> None:
    """Make a message that this process sends expire by the farm's clock.

    Args:
        headers: of a task's message, changed here.
        url: of Redis, which is asked for its time by a process that has not done so.
    """
    if not headers.get("expires"):
        return
    if CLOCK.skew_s is None:
        with suppress(BrokerError), closing(Board.connect(url)) as board:
            board.measure_clock()  # if that fails, the message cannot be sent either
    _correct(headers, CLOCK.correction)


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location[:2]))


def log_dropped(queue: str, size_bytes: int, reason: str) -> None:
    log.error(
        "dropped a message of %s bytes from queue %s: %s",
        size_bytes,
        queue,
        reason,
        extra={"action": "garbage"},
    )


@dataclass(frozen=True, slots=True)
class _Garbage:
    """What Redis returned in place of a message."""

    size_bytes: int
    reason: str


def _loads(text: str | bytes) -> Any:
    """In place of kombu's function, whose errors end the worker's main loop, and which makes other types than
    JSON's of some objects."""
    if len(text) > _MOST_BYTES:
        return _Garbage(len(text), f"more than {_MOST_BYTES} bytes")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        return _Garbage(len(text), f"it is not JSON ({type(error).__name__})")


def install() -> None:
    """Use it for every redis:// and rediss:// address to which this process connects from now on."""
    kombu_redis.Mutex = _mutex
    kombu_redis.loads = _loads
    for scheme in ("redis", "rediss"):
        kombu_transports.TRANSPORT_ALIASES[scheme] = f"{__name__}:{Transport.__name__}"
        # Kombu remembers what the first connection of the process took.
        kombu_transports._transport_cache.pop(scheme, None)
