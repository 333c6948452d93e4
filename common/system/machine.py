"""Which machine this is, which run of it, and which Python."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from common.model.address import is_loopback_address


def boot_id() -> str:
    """Of the running kernel: a new one with each start of the machine, random(4)."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def pip_install(extra: str) -> str:
    """The command that adds an extra of plotman to this Python. The `pip` on PATH may be another Python's."""
    return f"{sys.prefix}/bin/pip install 'plotman[{extra}]'"


def is_here(host: str) -> bool:
    """Whether `host` is a name of this machine, or an IP address of it. Asks no name server."""
    name = socket.gethostname()
    if host in (name, name.partition(".")[0]) or is_loopback_address(host):
        return True
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if host.replace(".", "").isdigit() or family is socket.AF_INET6:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((host, 0))  # only an own address can be bound
            except OSError:
                return False
            return True
    return False
