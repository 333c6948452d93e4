"""Connecting to Redis, and its errors as BrokerError."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from common.errors import BrokerError
from common.model.address import by_socket, masked, redis_url
from common.store import server_checks
from common.store.board_reader import WrongType

# Without keepalive a silently cut connection shows no error for 15 minutes.
KEEPALIVE: dict[int, int] = {socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 3}
TIMEOUT_S = 15.0
CONNECT_TIMEOUT_S = 5.0
# The longest time that a command may block on the server; below TIMEOUT_S.
BLOCK_MAX_S = 10.0
_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")  # in the URL of farm.broker


def client(url: str, patience_s: float | None = None, kept: bool = False) -> redis.Redis:
    """Make a client that connects with its first command.

    It repeats a command once, at once, if the connection was reset or closed: all of our commands may arrive
    twice. It does not repeat a command after a timeout.

    Args:
        url: redis://, rediss:// or unix://.
        patience_s: timeout of each command in seconds; None: TIMEOUT_S.
        kept: whether the server shall not end this connection if it must end some for want of memory
            (maxmemory-clients); viewers may not ask for that.
    """
    options: dict[str, Any] = {
        "retry": Retry(NoBackoff(), 1, (redis.ConnectionError,)),
        "decode_responses": True,
        # One value that is not UTF-8 must not keep all others from being read.
        "encoding_errors": "replace",
        "socket_timeout": patience_s or TIMEOUT_S,
        "socket_connect_timeout": patience_s or CONNECT_TIMEOUT_S,
        "health_check_interval": 10,
    }
    if kept:
        options["redis_connect_func"] = _connect_kept
    if not by_socket(url):
        options |= {"socket_keepalive": True, "socket_keepalive_options": KEEPALIVE}
    return redis.Redis.from_url(redis_url(url), **options)


def _connect_kept(connection: Any) -> None:
    connection.on_connect()
    connection.send_command("CLIENT", "NO-EVICT", "ON")
    with suppress(redis.ResponseError):  # Redis 6, or an older file of users
        connection.read_response()


def _message(error: Exception) -> str:
    """The error's text without the full stop that only some of redis-py's texts have, and without the command
    with all its arguments that a pipeline puts before it."""
    return str(error).rpartition("of pipeline caused error: ")[2].rstrip(".")


def typed(answers: Sequence[Any]) -> list[Any]:
    """Answers of a pipeline, with a WrongType for each key of another type. Raises all other errors."""
    found = list(answers)
    for index, answer in enumerate(found):
        if isinstance(answer, redis.ResponseError) and str(answer).startswith("WRONGTYPE"):
            found[index] = WrongType()
        elif isinstance(answer, Exception):
            raise answer
    return found


def is_refusal(error: BaseException) -> bool:
    """Whether Redis answered, and refused a command for what the key holds; another command may succeed."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, redis.ResponseError):
        cause = cause.__cause__
    return (
        cause is not None
        and not isinstance(cause, redis.exceptions.NoPermissionError)
        and _server_trouble(cause) is None
    )


def _server_trouble(error: BaseException | None) -> tuple[str, str] | None:
    """What is wrong with the server as a whole, and the cure; None for an error of another kind."""
    if isinstance(error, redis.exceptions.OutOfMemoryError):
        return "refuses writes: its memory is full", server_checks.MEMORY_CURE
    if isinstance(error, redis.exceptions.ReadOnlyError):
        return "refuses writes: it is a read-only replica", server_checks.REPLICA_CURE
    if isinstance(error, redis.ResponseError) and str(error).startswith("MISCONF"):
        return "refuses writes: it cannot save its data to its disk", server_checks.DISK_CURE
    if isinstance(error, redis.ConnectionError) and "max number of clients" in str(error):
        return "takes no more clients", server_checks.CLIENTS_CURE
    if isinstance(error, redis.exceptions.BusyLoadingError):
        return "is loading its data", "Wait; its log shows how far it is."
    return None


@contextmanager
def readable_errors(url: str) -> Iterator[None]:
    """Turn errors of redis-py, and kombu's of a Redis that refuses, into BrokerError, with address and
    remedy."""
    try:
        yield
    except BrokerError:
        raise
    except Exception as error:
        trouble = _server_trouble(error) or _server_trouble(error.__cause__)
        if trouble is None and not isinstance(error, redis.RedisError | OSError):
            raise
        what, cure = trouble or _tls_trouble(url, error) or _what_failed(error)
        raise BrokerError(f"Redis at {masked(url)} {what}.", cure) from error


def _tls_trouble(url: str, error: Exception) -> tuple[str, str] | None:
    """What keeps a connection from being encrypted, and the cure; None for an error of another kind.

    redis-py gives the errors of the socket and of TLS as the context of its own.
    """
    cause = error.__context__
    if not url.startswith("rediss:"):
        if isinstance(cause, ConnectionResetError):
            return (
                f"does not answer: {cause.strerror}",
                "Start it; or, if it takes TLS only, write farm.broker with rediss://, as `plotman farm "
                "secrets` printed it.",
            )
        return None
    if isinstance(cause, FileNotFoundError | PermissionError):
        given = dict(parse_qsl(urlsplit(url).query))
        files = [given[key] for key in _TLS_FILES if key in given and not os.access(given[key], os.R_OK)]
        if files:
            what = f"cannot be asked: {' and '.join(files)} cannot be read: {cause.strerror}"
            return what, "Copy the file there, which `plotman farm secrets` made, readable for this user."
    if isinstance(cause, ssl.SSLCertVerificationError):
        what = f"has a certificate that is not accepted: {cause.verify_message.rstrip('.')}"
        if "mismatch" in cause.verify_message:
            return what, "Name it in farm.broker as `plotman farm secrets` printed it."
        return what, "Give the ca.crt of this farm as ssl_ca_certs in farm.broker."
    if isinstance(cause, ssl.SSLError):
        return f"cannot be asked by TLS: {cause.strerror}", "Check the files that farm.broker names."
    if isinstance(cause, TimeoutError) and "handshake" in str(cause):
        return (
            "does not answer by TLS",
            "Write redis:// in farm.broker if it takes plain connections only; else look at its log.",
        )
    return None


def _what_failed(error: Exception) -> tuple[str, str]:
    if isinstance(error, redis.AuthenticationError):
        return f"does not accept our password: {_message(error)}", "Correct farm.broker in plotman.yaml."
    if isinstance(error, redis.exceptions.NoPermissionError):
        return (
            f"does not permit a command to this user: {_message(error)}",
            "Repeat this on the scheduler's machine; a viewer's may look only. Else give the user of "
            "farm.broker the rights of its role (`plotman farm secrets`).",
        )
    if isinstance(error, redis.ConnectionError) and "closed by server" in str(error):
        return (
            "closes the connection: it stops, or an answer is larger than it sends",
            "Wait: beat deletes what is too large. If this stays, look at its log, and whether beat runs.",
        )
    if isinstance(error, redis.TimeoutError) and "reading" in str(error):
        return (
            "accepts connections, but does not answer in time",
            "Look at its log and its machine's load, or correct farm.broker in plotman.yaml: perhaps another "
            "server has this port.",
        )
    if isinstance(error, redis.ConnectionError | redis.TimeoutError | OSError):
        return (
            f"does not answer: {_message(error)}",
            "Start it (`plotman up` where no farm.broker is set), or correct farm.broker in plotman.yaml.",
        )
    return f"refuses: {_message(error)}", ""
