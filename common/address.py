"""Who reaches what listens on an address."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_loopback(url: str) -> bool:
    """Whether `url` names this machine itself: a unix socket, localhost, 127.0.0.0/8 or ::1."""
    parts = urlsplit(url)
    if parts.scheme in ("unix", "redis+socket"):
        return True
    return is_loopback_address(parts.hostname or "localhost")


def is_loopback_address(address: str) -> bool:
    """Whether only this machine reaches what listens on `address`; "" means all addresses."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
