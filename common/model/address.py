"""Addresses to listen on and to connect to, whether other machines reach them, and URLs of Redis servers."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from common.errors import ExitCode, PlotmanError

# Ports below are reserved for root's services (/proc/sys/net/ipv4/ip_unprivileged_port_start).
FIRST_USER_PORT, LAST_PORT = 1024, 65535

# RFC 1123, with the underscore that many machines' names have. ASCII only: no resolver rewrites it.
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_LONGEST_HOST_NAME = 253
_ZONE = re.compile(r"[A-Za-z0-9_.-]{1,15}")  # IFNAMSIZ of netdevice(7)


class NoAddress(PlotmanError):
    exit_code = ExitCode.USAGE


def listen_at(text: str) -> tuple[str, int]:
    """Parse PORT, ADDRESS:PORT or [V6]:PORT into (address, port). Without an address it is 127.0.0.1. Raises
    NoAddress."""
    matched = re.fullmatch(r"(?:(?:\[([0-9A-Fa-f:]+)\]|([A-Za-z0-9._-]+)):)?(\d{1,5})", text)
    port = int(matched[3]) if matched else 0
    if matched is None or not 0 < port < 65536:
        raise NoAddress(
            f"{text!r} is not an address to listen on.", "Write PORT or ADDRESS:PORT; 0.0.0.0 is everywhere."
        )
    return matched[1] or matched[2] or "127.0.0.1", port


def host_or_ip(text: str) -> str:
    """Return `text` if it is a host name or an IP address, and so no option or command of any program.
    Raises ValueError."""
    address, percent, zone = text.partition("%")
    try:
        if ipaddress.ip_address(address).version == 6 and (not percent or _ZONE.fullmatch(zone)):
            return text
    except ValueError:
        pass
    if len(text) > _LONGEST_HOST_NAME or not _HOST_NAME.fullmatch(text):
        raise ValueError("is neither a host name nor an IP address")
    return text


def bracketed(host: str) -> str:
    """Return a host name or an IP address as it stands in URLs: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def is_loopback(url: str) -> bool:
    """Whether `url` leads to this machine itself: a unix socket, localhost, 127.0.0.0/8 or ::1."""
    parts = urlsplit(url)
    if parts.scheme in ("unix", "redis+socket"):
        return True
    return is_loopback_address(parts.hostname or "localhost")


def is_loopback_host(header: str) -> bool:
    """Whether a request's header `Host` names this machine by a local name.

    A name of another site may point to 127.0.0.1 (DNS rebinding): then that site's pages read what a server
    here answers without a password.
    """
    try:
        parts = urlsplit(f"//{header}")
        name, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    # urlsplit finds a host in nearly any text, as ::1 in `[::1].evil`: it must be all of the header.
    host = bracketed(name)
    is_whole = header.lower() == (host if port is None else f"{host}:{port}")
    return is_whole and "%" not in host and is_loopback_address(name)


def is_same_site(origin: str, host: str) -> bool:
    """Whether the header `Origin` names the server to which a request with this header `Host` was sent."""
    return origin in (f"http://{host}", f"https://{host}")  # https: a proxy in front


def is_loopback_address(address: str) -> bool:
    """Whether `address` can be reached from this machine only; "" stands for all addresses."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


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
