"""Kombu's transport for Redis, which neither dies of what anybody may put into a queue nor loses a message
that it has taken from one.

Kombu 5.7 raises what json or a missing key raises, in the worker's main loop: the worker ends, and its
successor with the next such message. And it notes each message that it took in Redis, over a connection that
may have died while it lay idle: that fails, and the message is in no queue any more.
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


class Channel(kombu_redis.Channel):  # type: ignore[misc]
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


class Transport(kombu_redis.Transport):  # type: ignore[misc]
    Channel = Channel

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
