"""Kombu's transport for Redis, made robust: malformed messages do not end the worker, and no message that was
taken from a queue is lost.

Kombu 5.7 raises the errors of json and of missing keys in the worker's main loop: the worker ends, and its
successor ends with the next such message. It also records each message that it takes in Redis, over a
connection that may have died while idle: the record fails, and the message is in no queue any more.

An idle worker also wakes less often here. All this leans on Kombu's internals;
tests/integration/common/worker/test_transport.py fails when these move.
"""

from __future__ import annotations

import logging
from json import JSONDecodeError
from typing import Any

from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis
from redis.backoff import NoBackoff
from redis.retry import Retry

log = logging.getLogger(__name__)

# How long a worker waits for a message before it asks again; kombu's default is 1 s. A worker that stops
# waits for the end of this, so that no message from Redis is lost.
_ASK_S = 2
# Kombu checks each second whether an hour has passed.
_BINDINGS_S = 10


class Channel(kombu_redis.Channel):
    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        parameters: dict[str, Any] = super()._connparams(asynchronous)
        # Not for the two listening connections: kombu must see them end, or it would wait on dead sockets.
        if not asynchronous:
            parameters["retry"] = Retry(NoBackoff(), 1)
        return parameters

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        except JSONDecodeError as error:
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
            return f"{type(error).__name__}: {error}"
        return None


def install() -> None:
    """Use it for every redis:// and rediss:// address of this process."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{Transport.__name__}"
