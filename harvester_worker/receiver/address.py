"""Under which address plotters reach this machine, where nobody says."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

_REDIS_PORT = 6379


def own_address(broker_url: str) -> str:
    """The address from which this machine speaks to the broker, which the plotters reach as well; its host
    name where the broker is on this machine, or cannot be found now.

    Sends nothing: connecting a datagram socket only asks the kernel for the way.
    """
    parts = urlsplit(broker_url)
    if not parts.hostname:
        return socket.gethostname()
    try:
        known = socket.getaddrinfo(parts.hostname, parts.port or _REDIS_PORT, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, target = known[0]
        with socket.socket(family, kind, protocol) as asked:
            asked.connect(target)
            address = str(asked.getsockname()[0])
    except OSError:
        return socket.gethostname()
    return socket.gethostname() if ipaddress.ip_address(address.split("%")[0]).is_loopback else address
