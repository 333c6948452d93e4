"""Identity of this machine: boot and the time since, names and addresses, Python."""

from __future__ import annotations

import ipaddress
import socket
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from common.model.address import is_loopback_address

_REDIS_PORT = 6379


def boot_id() -> str:
    """Id of the running kernel; each boot has a new one, random(4)."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def steady_s() -> float:
    """Seconds of a clock that is never set, like time.monotonic(), but also runs while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def pip_install(extra: str) -> str:
    """The command that installs an extra of plotman for this Python. The `pip` on PATH may be another
    Python's."""
    return f"{sys.prefix}/bin/pip install 'plotman[{extra}]'"


def is_here(host: str) -> bool:
    """Whether `host` is a name or an IP address of this machine. Asks no name server."""
    name = socket.gethostname()
    if host in (name, name.partition(".")[0]) or is_loopback_address(host):
        return True
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if host.replace(".", "").isdigit() or family is socket.AF_INET6:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((host, 0))  # only an address of this machine can be bound
            except OSError:
                return False
            return True
    return False


def own_address(broker_url: str) -> str:
    """The address from which this machine reaches the broker, which other machines of the farm can reach as
    well. Its host name if the broker is on this machine or cannot be resolved.

    Sends nothing: connecting a datagram socket only selects a route.
    """
    parts = urlsplit(broker_url)
    if not parts.hostname:
        return socket.gethostname()
    try:
        known = socket.getaddrinfo(parts.hostname, parts.port or _REDIS_PORT, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, target = known[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(target)
            address = str(probe.getsockname()[0])
    except OSError:
        return socket.gethostname()
    return socket.gethostname() if ipaddress.ip_address(address.split("%")[0]).is_loopback else address
