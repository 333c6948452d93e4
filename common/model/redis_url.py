"""URLs of Redis servers: the spelling of each library, and a form without passwords."""

from __future__ import annotations

import re

# A unix socket: redis-py writes unix:///PATH?db=N, kombu (and so Celery and Flower)
# redis+socket:///PATH?virtual_host=N. plotman.yaml takes both.
_REDIS_PY, _KOMBU = ("unix://", "db="), ("redis+socket://", "virtual_host=")


def kombu_url(url: str) -> str:
    """`url` as kombu spells it."""
    return _respelled(url, _REDIS_PY, _KOMBU)


def redis_url(url: str) -> str:
    """`url` as redis-py spells it."""
    return _respelled(url, _KOMBU, _REDIS_PY)


def by_socket(url: str) -> bool:
    """Whether the server is reached by a unix socket, which has no keepalive and no dead connections."""
    return url.startswith((_REDIS_PY[0], _KOMBU[0]))


def _respelled(url: str, old: tuple[str, str], new: tuple[str, str]) -> str:
    if not url.startswith(old[0]):
        return url
    place, question, query = url.removeprefix(old[0]).partition("?")
    options = [
        new[1] + part.removeprefix(old[1]) if part.startswith(old[1]) else part for part in query.split("&")
    ]
    return new[0] + place + question + "&".join(options)


_HARMLESS = re.compile(r"(db|virtual_host)=\d+")


def masked(url: str) -> str:
    """`url` fit for messages and logs: each password in it is replaced by `***`. Takes any text."""
    head, at, tail = url.rpartition("@")
    scheme, separator, account = head.rpartition("://")
    user, colon, _ = account.partition(":")
    if at and colon:
        url = f"{scheme}{separator}{user}:***@{tail}"
    place, question, query = url.partition("?")
    # Any option may hold a secret: password=... is one of redis-py's, and a mistyped one is not known.
    if "://" in place and question and not _HARMLESS.fullmatch(query):
        url = f"{place}?***"
    return url
