"""URLs of Redis servers: how each library spells them, and how they are shown."""

from __future__ import annotations

import re

# A server that is reached by a unix socket: redis-py writes unix:///PATH?db=N, kombu (and so Celery and
# Flower) redis+socket:///PATH?virtual_host=N. Either may stand in plotman.yaml.
_REDIS_PY, _KOMBU = ("unix://", "db="), ("redis+socket://", "virtual_host=")


def kombu_url(url: str) -> str:
    """`url` as kombu spells it."""
    return _respelled(url, _REDIS_PY, _KOMBU)


def redis_url(url: str) -> str:
    """`url` as redis-py spells it."""
    return _respelled(url, _KOMBU, _REDIS_PY)


def by_socket(url: str) -> bool:
    """Whether a unix socket leads to the server: it knows neither keepalive nor a connection that hangs."""
    return url.startswith((_REDIS_PY[0], _KOMBU[0]))


def _respelled(url: str, old: tuple[str, str], new: tuple[str, str]) -> str:
    if not url.startswith(old[0]):
        return url
    place, question, query = url.removeprefix(old[0]).partition("?")
    options = [
        new[1] + part.removeprefix(old[1]) if part.startswith(old[1]) else part for part in query.split("&")
    ]
    return new[0] + place + question + "&".join(options)


def masked(url: str) -> str:
    """`url` fit for messages and logs: each password in it is replaced by `***`. Takes any text."""
    # password=... is one of redis-py's options.
    url = re.sub(r"(?<=[?&]password=)[^&]+", "***", url)
    head, at, tail = url.rpartition("@")
    scheme, separator, account = head.rpartition("://")
    user, colon, _ = account.partition(":")
    return f"{scheme}{separator}{user}:***@{tail}" if at and colon else url
