"""Kombu's transport for Redis, which neither dies of what anybody may put into a queue nor loses a message
that it has taken from one.

Kombu 5.7 raises what json or a missing key raises, in the worker's main loop: the worker ends, and its
successor with the next such message. And it notes each message that it took in Redis, over a connection that
may have died while it lay idle: that fails, and the message is in no queue any more.

A worker that has nothing to do also wakes less often here. Leans on Kombu's internals in that;
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

# How long a worker waits for a message before it asks anew; kombu's own is 1 s. A worker that stops waits for
# the end of this: what Redis sends meanwhile must not be lost.
_ASK_S = 2
# Kombu's own is 1 s, to look whether an hour has passed.
_BINDINGS_S = 10


class Channel(kombu_redis.Channel):
    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        parameters: dict[str, Any] = super()._connparams(asynchronous)
        # Not for the two connections that listen: kombu must see them end, or it would wait on dead sockets.
        if not asynchronous:
            parameters["retry"] = Retry(NoBackoff(), 1)
        return parameters

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        except JSONDecodeError as error:
            log.error("a message that is no JSON is dropped: %s", error, extra={"action": "garbage"})
            return None


class Transport(kombu_redis.Transport):
    Channel = Channel

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Kombu calls this for a worker's connections, and for no others."""
        super().register_with_event_loop(connection, loop)
        for asking in (self, *self.channels):  # a connection brings its first channel along
            asking.brpop_timeout = _ASK_S
        cycle = self.cycle
        cycle._binding_expiry_tref.cancel()
        cycle._binding_expiry_tref = loop.call_repeatedly(_BINDINGS_S, cycle.maybe_refresh_binding_expiry)

    def _deliver(self, message: Any, queue: str) -> None:
        if reason := self._unreadable(message):
            log.error(
                "something in queue %s that is no message is dropped: %s",
                queue,
                reason,
                extra={"action": "garbage"},
            )
            return
        super()._deliver(message, queue)

    def _unreadable(self, message: Any) -> str | None:
        """Why this cannot be made a message; None where it can. What its body says, the consumer judges."""
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
