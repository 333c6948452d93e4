"""Addresses to listen on and to connect to, and whether other machines reach them."""

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


def is_loopback(url: str) -> bool:
    """Whether `url` leads to this machine itself: a unix socket, localhost, 127.0.0.0/8 or ::1."""
    parts = urlsplit(url)
    if parts.scheme in ("unix", "redis+socket"):
        return True
    return is_loopback_address(parts.hostname or "localhost")


def is_loopback_address(address: str) -> bool:
    """Whether `address` can be reached from this machine only; "" stands for all addresses."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
