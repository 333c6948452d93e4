"""Reads the settings of a Redis server for `common.store.server_checks`.

INFO is enough. CONFIG GET would show passwords, so no user of a farm should be allowed to call it, and
managed servers refuse it.
"""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import redis

from common.errors import BrokerError
from common.model.address import is_loopback, masked
from common.store.connection import client, readable_errors
from common.store.server_checks import Server


def ask(url: str) -> Server:
    """Settings of the server at `url`; None for what it does not permit to read. Raises BrokerError."""
    with readable_errors(url), client(url) as connection:
        connection.ping()
        info = _info(connection)
        return Server(
            version=_version(info.get("redis_version")),
            eviction=info.get("maxmemory_policy"),
            persistent=bool(info["aof_enabled"]) if "aof_enabled" in info else None,
            skew_s=_skew_s(connection),
            open_to_all=_open_to_all(url),
            loopback=is_loopback(url),
        )


def reach(url: str, patience_s: float) -> None:
    """Check that the server at `url` answers.

    Args:
        url: of the server.
        patience_s: timeout of each of two attempts to connect, in seconds.

    Raises:
        BrokerError: it does not answer, or the URL contains an unknown option.
    """
    try:
        with readable_errors(url), client(url, patience_s) as connection:
            connection.ping()
    except (TypeError, ValueError) as error:  # of redis-py, whose text may contain the value
        raise BrokerError(
            f"Redis at {masked(url)} cannot be reached: the URL contains an unknown name or option.",
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
    return (before_s + time.time()) / 2 - seconds - microseconds / 1e6


def _version(text: object) -> tuple[int, ...] | None:
    parts = str(text).split(".") if text else []
    numbers = [int(part) for part in parts if part.isdecimal()]
    return tuple(numbers) or None


def _open_to_all(url: str) -> bool | None:
    """Whether a client without password gets an answer. A user without admin rights cannot read the ACL."""
    account, at, _ = urlsplit(url).netloc.rpartition("@")
    try:
        with client(url.replace(account + at, "", 1)) as stranger:
            return bool(stranger.ping())
    except (redis.AuthenticationError, redis.ResponseError):
        return False
    except (redis.RedisError, OSError):
        return None
