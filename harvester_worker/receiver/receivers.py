"""The doors of one harvester: opens and closes them, listens while one is open, watches who came in."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import select
import shutil
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from common.errors import TransferFailed
from common.model.ticket import Ticket
from common.names import TICKET_LIFETIME
from harvester_worker.receiver.connection import PATIENCE, ReceiverConnection, ReceiverTimeouts, end_strays
from harvester_worker.receiver.identity import Identity, make_identity
from harvester_worker.receiver.rsyncd import RsyncModule, configuration, must_be_writable_down

log = logging.getLogger(__name__)

_LOOK_S = 0.1
_CONNECTIONS_MAX = 256  # a client without a password gets no further than a process of its own for a while


@dataclass(slots=True)
class _Door:
    """move: of beat, which it was opened for. used_s: monotonic time of the last sign of its client.
    begun_bytes: that the part had when the door was last asked for."""

    plot_id: str
    plotter: str
    drive: str
    move: str | None
    module: RsyncModule
    ticket: Ticket
    used_s: float
    begun_bytes: int


@dataclass(frozen=True, slots=True)
class Doomed:
    """A transfer that was ended here, for `reason`. drive: that could not be written."""

    plot_id: str
    plotter: str
    drive: str
    ticket: Ticket
    reason: str


class Receivers:
    """Listens while at least one door is open, and on one port for all of them, which a firewall can know.
    One thread accepts and watches; the other methods may be called from any.

    folder: for configuration, passwords and logs; made anew. address: told to plotters. port: 0 for any.
    doomed: called, in the thread, for each transfer that was ended because its drive failed.
    tls: whether connections are encrypted; those that are not are refused then.
    """

    def __init__(
        self,
        folder: Path,
        address: str,
        port: int,
        doomed: Callable[[Doomed], None],
        patience: ReceiverTimeouts = PATIENCE,
        rsync: str = "rsync",
        tls: bool = False,
    ) -> None:
        self._folder = folder
        self._address, self._port = address, port
        self._doomed = doomed
        self._patience, self._rsync = patience, rsync
        self._tls = tls
        self._identity: Identity | None = None  # made with the first door
        self._lock = threading.RLock()
        self._doors: dict[str, _Door] = {}  # by module
        self._connections: list[ReceiverConnection] = []
        self._count = 0
        self._socket: socket.socket | None = None  # None: nobody listens
        self._thread: threading.Thread | None = None
        self._leaving = False

    @property
    def open_plots(self) -> frozenset[str]:
        """Ids of the plots that have a door now."""
        with self._lock:
            return frozenset(door.plot_id for door in self._doors.values())

    def start(self) -> None:
        """Tidy up after a worker that was killed."""
        if ended := end_strays(str(self._folder)):
            log.info(
                "ended %d rsync servers of a worker that is gone", ended, extra={"action": "strays-ended"}
            )
        shutil.rmtree(self._folder, ignore_errors=True)

    def stop(self) -> None:
        """Close all doors. Transfers are cut, and go on where they ended when there is a door again."""
        with self._lock:
            self._leaving = True
            plots = [door.plot_id for door in self._doors.values()]
        for plot_id in plots:
            self.close(plot_id)
        if self._thread is not None:
            self._thread.join(timeout=5)
        shutil.rmtree(self._folder, ignore_errors=True)

    def open(
        self, plot_id: str, plotter: str, drive: str, part: Path, move: str | None, begun_bytes: int = 0
    ) -> Ticket:
        """A door to `part` for this plotter, and the ticket to it; the ticket of the door that is open
        already where it is asked for again. begun_bytes: that the part has from earlier runs. Raises
        TransferFailed where none can be opened."""
        must_be_writable_down(part)
        with self._lock:
            former = self._of(plot_id)
            if former and (former.move, former.module.part, former.plotter) == (move, part, plotter):
                former.used_s = time.monotonic()
                former.begun_bytes = begun_bytes
                return former.ticket
        if former:
            self.close(plot_id)
        with self._lock:
            if self._tls and self._identity is None:
                self._identity = make_identity()
            port = self._listen()
            name = secrets.token_hex(8)
            module = RsyncModule(name, part, self._folder / f"{name}.secrets")
            password = secrets.token_urlsafe(32)
            _write_secret(module.secrets, f"{name}:{password}\n")
            ticket = Ticket(
                plot_id=plot_id,
                address=self._address,
                port=port,
                module=name,
                password=SecretStr(password),
                certificate=self._identity.certificate if self._identity else None,
            )
            used_s = time.monotonic()
            self._doors[name] = _Door(plot_id, plotter, drive, move, module, ticket, used_s, begun_bytes)
        log.info("a door is open for %s", plotter, extra={"action": "door-opened", "plot_id": plot_id})
        return ticket

    def close(self, plot_id: str, but_for: str | None = None) -> str | None:
        """Close the plot's door and end whoever is in it: nobody writes the part when this returns, unless
        its drive hangs. but_for: a move whose own door stays. Gives the plotter that had a door."""
        with self._lock:
            door = self._of(plot_id)
            if door is None or (but_for is not None and door.move == but_for):
                return None
            del self._doors[door.module.name]
            door.module.secrets.unlink(missing_ok=True)
            inside = [each for each in self._connections if each.module == door.module.name]
        for connection in inside:
            connection.wait_ended()
        log.info("a door was closed", extra={"action": "door-closed", "plot_id": plot_id})
        return door.plotter

    @property
    def _pem(self) -> Path:
        return self._folder / "door.pem"

    def _of(self, plot_id: str) -> _Door | None:
        return next((door for door in self._doors.values() if door.plot_id == plot_id), None)

    # Below: the thread, and what it needs.

    def _listen(self) -> int:
        """The port; the thread listens when this returns. With the lock held."""
        if self._leaving:
            raise TransferFailed("This harvester is about to stop.", "The plot waits until it is back.")
        if self._socket is not None:
            return int(self._socket.getsockname()[1])
        try:
            listening = _listening(self._port)
        except OSError as error:
            raise TransferFailed(
                f"Port {self._port} cannot be listened on for plots: {error.strerror or error}.",
                "Set another harvester.receiver_port.",
            ) from error
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._identity is not None and not self._pem.exists():
            _write_secret(self._pem, self._identity.secret)
        self._socket = listening
        self._thread = threading.Thread(target=self._serve, args=(listening,), name="doors", daemon=True)
        self._thread.start()
        return int(listening.getsockname()[1])

    def _serve(self, listening: socket.socket) -> None:
        with listening:
            while True:
                with contextlib.suppress(OSError):
                    if select.select([listening], [], [], _LOOK_S)[0]:
                        self._accept(*listening.accept())
                try:
                    self._watch()
                except Exception:
                    # Were this thread to end, servers would run on that nobody watches.
                    log.exception("watching the doors failed", extra={"action": "door-failed"})
                with self._lock:
                    if not self._doors and not self._connections:
                        listening.close()  # here: the next door may want the port at once
                        self._socket = None
                        return

    def _accept(self, accepted: socket.socket, client: tuple[object, ...]) -> None:
        with self._lock:
            self._count += 1
            if len(self._connections) >= _CONNECTIONS_MAX:
                log.warning("too many connections; one from %s is closed", client[0])
                accepted.close()
                return
            log_file, config = self._folder / f"{self._count}.log", self._folder / f"{self._count}.conf"
            modules = [door.module for door in self._doors.values()]
            text = configuration(modules, os.geteuid(), os.getegid(), log_file)
            config.write_text(text, encoding="utf-8")
            owner, tls = str(self._folder), self._pem if self._identity else None
            self._connections.append(
                ReceiverConnection(accepted, config, log_file, self._patience, self._rsync, owner, tls)
            )

    def _watch(self) -> None:
        with self._lock:
            looked = [(connection, connection.look()) for connection in self._connections]
            self._connections = [connection for connection, runs in looked if runs]
            now_s = time.monotonic()
            ended: list[Doomed] = []
            for connection, _ in looked:
                door = self._doors.get(connection.module or "")
                if door is None:
                    if connection.module is not None:
                        connection.end()  # it had read the configuration just before its door was closed
                    continue
                door.used_s = now_s
                connection.begun_bytes = door.begun_bytes
                if connection.trouble is not None:
                    ended.append(
                        Doomed(door.plot_id, door.plotter, door.drive, door.ticket, connection.trouble)
                    )
            grace_s = TICKET_LIFETIME.total_seconds()
            unused = [door.plot_id for door in self._doors.values() if now_s - door.used_s > grace_s]
        for plot_id in [*unused, *(each.plot_id for each in ended)]:
            self.close(plot_id)
        for each in ended:
            log.error("%s: %s", each.drive, each.reason, extra={"action": "doomed", "plot_id": each.plot_id})
            self._doomed(each)


def _listening(port: int) -> socket.socket:
    """On all addresses: what this machine is called by the plotters may be any of them."""
    if socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _write_secret(path: Path, text: str) -> None:
    """Readable by nobody else from its first byte on."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
