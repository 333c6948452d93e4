"""How we connect to Redis, and how its errors read."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from common.errors import BrokerError
from common.model.redis_url import by_socket, masked, redis_url

# A connection that was cut silently shows no error for 15 minutes unless the kernel is told to look.
KEEPALIVE: dict[int, int] = {socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 3}
TIMEOUT_S = 15.0
CONNECT_TIMEOUT_S = 5.0
# The longest one command may block on the server, so that TIMEOUT_S is never reached in health.
BLOCK_MAX_S = 10.0


def client(url: str, patience_s: float | None = None) -> redis.Redis:
    """A client whose commands end within TIMEOUT_S (or patience_s), whatever the network does.
    Connects later.

    A connection that was reset or closed is made anew at once, and the command sent again: all of ours may
    come twice. One that does not answer is not waited for a second time.
    """
    options: dict[str, Any] = {
        "retry": Retry(NoBackoff(), 1, (redis.ConnectionError,)),
        "decode_responses": True,
        # Else one value of another machine that is not UTF-8 would keep all others from being read.
        "encoding_errors": "replace",
        "socket_timeout": patience_s or TIMEOUT_S,
        "socket_connect_timeout": patience_s or CONNECT_TIMEOUT_S,
        "health_check_interval": 10,
    }
    if not by_socket(url):
        options |= {"socket_keepalive": True, "socket_keepalive_options": KEEPALIVE}
    return redis.Redis.from_url(redis_url(url), **options)


def _said(error: Exception) -> str:
    """Some of redis-py's sentences end with a full stop, others do not."""
    return str(error).rstrip(".")


@contextmanager
def readable_errors(url: str) -> Iterator[None]:
    """Turn what redis-py raises into BrokerError, with the server's address and a cure."""
    try:
        yield
    except redis.AuthenticationError as error:
        raise BrokerError(
            f"Redis at {masked(url)} does not accept our password: {_said(error)}.",
            "Correct farm.broker in plotman.yaml.",
        ) from error
    except redis.exceptions.NoPermissionError as error:
        raise BrokerError(
            f"Redis at {masked(url)} does not allow this user what it needs: {_said(error)}.",
            "Give the user of farm.broker the rights of its role.",
        ) from error
    except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
        raise BrokerError(
            f"Redis at {masked(url)} does not answer: {_said(error)}.",
            "Start it (`plotman up` where no farm.broker is set), or correct farm.broker in plotman.yaml.",
        ) from error
    except redis.RedisError as error:
        raise BrokerError(f"Redis at {masked(url)} refuses: {_said(error)}.", "") from error
