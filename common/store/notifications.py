"""State that the notifiers of a farm share: events processed, present problems, and claims."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import redis

from common.names import TOLD_TTL, Keys
from common.store.connection import readable_errors


class NotificationClaims:
    """Lets several notifiers share the work: the one that claims a notification sends it. All methods raise
    BrokerError."""

    def __init__(self, redis_client: redis.Redis, url: str) -> None:
        self._redis = redis_client
        self._url = url

    def heard(self) -> str | None:
        """Id of the last event that a notifier has processed; None: none yet."""
        with readable_errors(self._url):
            return cast("str | None", self._redis.get(Keys.ALARMS_HEARD))

    def put_heard(self, event_id: str) -> None:
        with readable_errors(self._url):
            self._redis.set(Keys.ALARMS_HEARD, event_id)

    def claim(self, notification_id: str, notifier: str) -> bool:
        """Claim a notification. Returns whether it belongs to `notifier`, now or since an earlier call."""
        with readable_errors(self._url), self._redis.pipeline(transaction=False) as pipe:
            pipe.set(Keys.told(notification_id), notifier, nx=True, ex=TOLD_TTL)
            pipe.get(Keys.told(notification_id))
            return bool(pipe.execute()[1] == notifier)

    def raised(self) -> Mapping[str, str]:
        """Present problems: problem -> id of its occurrence."""
        with readable_errors(self._url):
            return cast("dict[str, str]", self._redis.hgetall(Keys.ALARMS_RAISED))

    def raise_(self, what: str, occurrence: str) -> str:
        """Record a problem. Returns the id of its occurrence, which another notifier may have set first."""
        with readable_errors(self._url), self._redis.pipeline(transaction=False) as pipe:
            pipe.hsetnx(Keys.ALARMS_RAISED, what, occurrence)
            pipe.hget(Keys.ALARMS_RAISED, what)
            pipe.expire(Keys.ALARMS_RAISED, TOLD_TTL)
            return str(pipe.execute()[1])

    def settle(self, what: str) -> None:
        """Record that a problem is over."""
        with readable_errors(self._url):
            self._redis.hdel(Keys.ALARMS_RAISED, what)
