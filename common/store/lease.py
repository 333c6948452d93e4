"""A lease in Redis: one process at a time holds it, and a frozen process loses it."""

from __future__ import annotations

from datetime import timedelta

import redis

from common.names import LEASE, LEASE_MARGIN, Keys
from common.store.connection import readable_errors
from common.system.machine import steady_s

_TAKE = """
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) return 1 end
if not holder then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1 end
return 0
"""
_DROP = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Lease:
    """The right to decide for the farm.

    Check `held` right before each order. Its clock also runs while the process is stopped or the machine
    sleeps, so a beat that wakes up knows at once that its decision is out of date.
    """

    def __init__(self, redis_client: redis.Redis, url: str, token: str, lifetime: timedelta = LEASE) -> None:
        self._redis = redis_client
        self._url = url
        self._token = token
        self._lifetime = lifetime
        self._deadline = 0.0

    def take(self) -> bool:
        """Take or renew the lease. Returns False while another process holds it. Raises BrokerError."""
        asked_at = steady_s()
        with readable_errors(self._url):
            got = self._redis.eval(
                _TAKE, 1, Keys.LEASE, self._token, str(int(self._lifetime.total_seconds() * 1000))
            )
        safe_s = (self._lifetime - LEASE_MARGIN).total_seconds()
        self._deadline = asked_at + safe_s if got else 0.0
        return bool(got)

    @property
    def held(self) -> bool:
        """Whether the lease is still valid; asks no server."""
        return steady_s() < self._deadline

    def drop(self) -> None:
        """Give the lease up, so that the next process takes over at once. Raises BrokerError."""
        self._deadline = 0.0
        with readable_errors(self._url):
            self._redis.eval(_DROP, 1, Keys.LEASE, self._token)
