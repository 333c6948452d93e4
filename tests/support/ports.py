"""TCP ports of this machine's own address."""

from __future__ import annotations

import secrets
import socket

# Below the ports that the kernel gives to programs that ask for any (ip_local_port_range): it is bound only
# later; the brokers of farms choose theirs elsewhere.
_PORTS = range(10_000, 20_000)


def free_port() -> int:
    """One on which nobody listens now."""
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", secrets.choice(_PORTS)))
            except OSError:
                continue
            return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
