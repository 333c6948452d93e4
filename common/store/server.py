"""Asks a Redis server what `common.store.server_checks` judges.

Not by CONFIG GET: that shows passwords, so that no user of a farm should have it, and managed servers
refuse it. INFO tells as much as is needed.
"""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import redis

from common.errors import BrokerError
from common.model.address import is_loopback
from common.model.redis_url import masked
from common.store.connection import client, readable_errors
from common.store.server_checks import Server


def ask(url: str) -> Server:
    """What the server at `url` says of itself; what it does not let us ask is None. Raises BrokerError."""
    with readable_errors(url), client(url) as connection:
        connection.ping()
        told = _info(connection)
        return Server(
            version=_version(told.get("redis_version")),
            eviction=told.get("maxmemory_policy"),
            persistent=bool(told["aof_enabled"]) if "aof_enabled" in told else None,
            skew_s=_skew_s(connection),
            open_to_all=_open_to_all(url),
            loopback=is_loopback(url),
        )


def reach(url: str, patience_s: float) -> None:
    """Let the server at `url` answer once. patience_s: for each of two tries to connect.

    Raises BrokerError where it does not, or where the address holds an option that does not exist.
    """
    try:
        with readable_errors(url), client(url, patience_s) as connection:
            connection.ping()
    except (TypeError, ValueError) as error:  # of redis-py, whose words may hold the value
        raise BrokerError(
            f"Redis at {masked(url)} cannot be asked: it has a name or an option that does not exist.",
            "Correct farm.broker in plotman.yaml.",
        ) from error


def _info(connection: redis.Redis) -> dict[str, Any]:
    try:
        return connection.info()
    except redis.ResponseError:  # also NoPermissionError
        return {}


def _skew_s(connection: redis.Redis) -> float | None:
    before_s = time.time()
    try:
        seconds, microseconds = connection.time()
    except redis.ResponseError:
        return None
    return seconds + microseconds / 1e6 - (before_s + time.time()) / 2


def _version(text: object) -> tuple[int, ...] | None:
    parts = str(text).split(".") if text else []
    numbers = [int(part) for part in parts if part.isdecimal()]
    return tuple(numbers) or None


def _open_to_all(url: str) -> bool | None:
    """Try it: nothing that a server says of its users can be read by a user without rights over others."""
    account, at, _ = urlsplit(url).netloc.rpartition("@")
    try:
        with client(url.replace(account + at, "", 1)) as stranger:
            return bool(stranger.ping())
    except (redis.AuthenticationError, redis.ResponseError):
        return False
    except (redis.RedisError, OSError):
        return None
