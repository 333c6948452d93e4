"""The receivers of one harvester: opens and closes them, listens while one is open, supervises
connections."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from common.errors import TransferFailed
from common.model.ticket import Ticket
from common.names import TICKET_LIFETIME
from common.system import statefile
from harvester_worker.receiver.connection import (
    TIMEOUTS,
    ReceiverConnection,
    ReceiverTimeouts,
    end_strays,
    keep_alive,
)
from harvester_worker.receiver.greeter import Client, Greeter, ThrottledLog
from harvester_worker.receiver.identity import Identity, make_identity
from harvester_worker.receiver.rsyncd import RsyncModule, configuration, must_be_expressible

log = logging.getLogger(__name__)

_POLL_S = 0.1


@dataclass(slots=True)
class _Receiver:
    """move: id of beat's move that it was opened for. used_s: monotonic time of its client's last activity.
    begun_bytes: length of the part when the ticket was last asked for. digest: of the plot, once all of it
    arrived."""

    plot_id: str
    plotter: str
    drive: str
    move: str | None
    module: RsyncModule
    ticket: Ticket
    used_s: float
    begun_bytes: int
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class ClosedReceiver:
    """digest: of the plot, if all of it arrived through this receiver (rsyncd.ServerLog)."""

    plotter: str
    digest: str | None


@dataclass(frozen=True, slots=True)
class EndedTransfer:
    """A transfer that the harvester ended, and why. drive: the one that could not be written."""

    plot_id: str
    plotter: str
    drive: str
    ticket: Ticket
    reason: str


class Receivers:
    """Listens on one port, which a firewall can know, while at least one receiver is open. One thread accepts
    and supervises connections; the other methods may be called from any thread.

    One lock guards the receivers, the connections and the socket; each method takes it itself, but `_listen`
    and `_of`. It is not held while the end of a connection is waited for, nor while `on_ended` and
    `on_arrived` are called.
    """

    def __init__(
        self,
        folder: Path,
        address: str,
        port: int,
        on_ended: Callable[[EndedTransfer], None],
        timeouts: ReceiverTimeouts = TIMEOUTS,
        rsync: str = "rsync",
        tls: bool = False,
        on_arrived: Callable[[Path, str], None] = lambda *_: None,
    ) -> None:
        """
        Args:
            folder: For configuration, passwords and logs; `start` empties it.
            address: Of this machine, for the tickets.
            port: 0: any that is free.
            on_ended: Called, in the thread, for each transfer that was ended because its drive failed.
            tls: Encrypt connections, and refuse those that are not encrypted.
            on_arrived: Called, in the thread, with the part and the digest of each plot that arrived whole.
                Must not wait for the drive.
        """
        self._folder = folder
        self._address, self._port = address, port
        self._on_ended, self._on_arrived = on_ended, on_arrived
        self._timeouts, self._rsync = timeouts, rsync
        self._tls = tls
        self._identity: Identity | None = None  # made with the first receiver
        self._throttled = ThrottledLog()
        self._lock = threading.RLock()
        self._receivers: dict[str, _Receiver] = {}  # by module
        self._connections: list[ReceiverConnection] = []
        self._count = 0
        self.takes_plain = False  # whether any receiver since the start was one without TLS
        self._socket: socket.socket | None = None  # None: not listening
        self._thread: threading.Thread | None = None
        self._stopping = False

    def start(self) -> None:
        """End the servers and remove the files of an earlier worker that was killed."""
        if ended := end_strays(str(self._folder)):
            log.info("ended %d rsync servers of an earlier worker", ended, extra={"action": "strays-ended"})
        shutil.rmtree(self._folder, ignore_errors=True)

    def stop(self) -> None:
        """Close all receivers. This cuts transfers; the next receiver resumes them where they ended."""
        with self._lock:
            self._stopping = True
            plots = [receiver.plot_id for receiver in self._receivers.values()]
        for plot_id in plots:
            self.close(plot_id)
        if self._thread is not None:
            self._thread.join(timeout=5)
        shutil.rmtree(self._folder, ignore_errors=True)

    def open(
        self,
        plot_id: str,
        plotter: str,
        drive: str,
        part: Path,
        move: str | None,
        size_bytes: int,
        begun_bytes: int = 0,
    ) -> Ticket:
        """Open a receiver, and return its ticket. For the same move, part and plotter, return the ticket of
        the receiver that is open already.

        Args:
            move: Id of beat's move.
            size_bytes: Of the plot; the part cannot become longer.
            begun_bytes: Length of the part from earlier runs.

        Raises:
            TransferFailed: The port cannot be listened on, the path cannot be named, or the worker stops.
        """
        must_be_expressible(part)
        while True:
            with self._lock:
                current = self._of(plot_id)
                if current is None:
                    return self._open(plot_id, plotter, drive, part, move, size_bytes, begun_bytes)
                now = (current.move, current.module.part, current.module.size_bytes, current.plotter)
                if now == (move, part, size_bytes, plotter):
                    current.used_s = time.monotonic()
                    current.begun_bytes = begun_bytes
                    return current.ticket
            # Without the lock, since it waits for the server; another thread may open a receiver meanwhile.
            self.close(plot_id)

    def _open(
        self,
        plot_id: str,
        plotter: str,
        drive: str,
        part: Path,
        move: str | None,
        size_bytes: int,
        begun_bytes: int,
    ) -> Ticket:
        """Open a receiver for a plot that has none. Call with the lock held."""
        if self._tls and self._identity is None:
            self._identity = make_identity()
        self.takes_plain = self.takes_plain or not self._tls
        port = self._listen()
        name = secrets.token_hex(8)
        module = RsyncModule(name, part, self._folder / f"{name}.secrets", size_bytes)
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
        self._receivers[name] = _Receiver(plot_id, plotter, drive, move, module, ticket, used_s, begun_bytes)
        log.info("a receiver is open for %s", plotter, extra={"action": "door-opened", "plot_id": plot_id})
        return ticket

    def close(
        self, plot_id: str, but_for: str | None = None, plotter: str | None = None
    ) -> ClosedReceiver | None:
        """Close the plot's receiver and end its connections: nobody writes the part when this returns, unless
        its drive hangs.

        Args:
            but_for: Id of a move whose receiver stays open.
            plotter: Close this one's receiver only; None: anyone's.

        Returns:
            The receiver that was closed; None if none was.
        """
        with self._lock:
            receiver = self._of(plot_id)
            if (
                receiver is None
                or (but_for is not None and receiver.move == but_for)
                or plotter not in (None, receiver.plotter)
            ):
                return None
            del self._receivers[receiver.module.name]
            receiver.module.secrets.unlink(missing_ok=True)
            connections = [each for each in self._connections if each.log.module == receiver.module.name]
        for connection in connections:
            connection.wait_ended()
            receiver.digest = connection.log.digest or receiver.digest
        log.info("a receiver was closed", extra={"action": "door-closed", "plot_id": plot_id})
        return ClosedReceiver(receiver.plotter, receiver.digest)

    @property
    def _pem(self) -> Path:
        return self._folder / "receiver.pem"

    def _of(self, plot_id: str) -> _Receiver | None:
        return next((receiver for receiver in self._receivers.values() if receiver.plot_id == plot_id), None)

    # Below: the thread, and what it needs.

    def _listen(self) -> int:
        """Start to listen, if that has not begun, and return the port. Call with the lock held."""
        if self._stopping:
            raise TransferFailed("This harvester is about to stop.", "The plot waits until it is back.")
        if self._socket is not None:
            return int(self._socket.getsockname()[1])
        try:
            listening = _listening(self._port)
        except OSError as error:
            raise TransferFailed(
                f"Port {self._port} cannot be listened on for plots: {error.strerror}.",
                "Set another harvester.receiver_port.",
            ) from error
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._identity is not None and not self._pem.exists():
            _write_secret(self._pem, self._identity.secret)
        self._socket = listening
        self._thread = threading.Thread(target=self._serve, args=(listening,), name="receivers", daemon=True)
        self._thread.start()
        return int(listening.getsockname()[1])

    def _serve(self, listening: socket.socket) -> None:
        tls = None
        if self._identity is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.minimum_version = ssl.TLSVersion.TLSv1_3
            tls.load_cert_chain(self._pem)
        greeter = Greeter(listening, tls, self._timeouts.hello_s, self._not_admitted, self._throttled)
        next_s = 0.0
        while True:
            try:
                for client in greeter.turn(_POLL_S):
                    self._begin(client)
                if time.monotonic() >= next_s:  # not for each of the clients that may flood us
                    self._supervise()
                    next_s = time.monotonic() + _POLL_S
            except Exception:
                # Without this thread nobody would end servers that are stuck.
                log.exception("supervising the receivers failed", extra={"action": "door-failed"})
            with self._lock:
                if not self._receivers and not self._connections:
                    greeter.close()  # here: the next receiver may need the port at once
                    self._socket = None
                    return

    def _not_admitted(self) -> list[ReceiverConnection]:
        return [connection for connection in self._connections if connection.log.module is None]

    def _begin(self, client: Client) -> None:
        """Start a server for a client after its hello."""
        with self._lock:
            self._count += 1
            log_file, config = self._folder / f"{self._count}.log", self._folder / f"{self._count}.conf"
            modules = [receiver.module for receiver in self._receivers.values()]
            mark = secrets.token_hex(16)
            text = configuration(modules, os.geteuid(), os.getegid(), log_file, mark)
            config.write_text(text, encoding="utf-8")
            keep_alive(client.connection, self._timeouts)
            self._connections.append(
                ReceiverConnection(
                    client, config, log_file, mark, self._timeouts, self._rsync, str(self._folder)
                )
            )

    def _supervise(self) -> None:
        with self._lock:
            polled = [(connection, connection.poll()) for connection in self._connections]
            self._connections = [connection for connection, runs in polled if runs]
            now_s = time.monotonic()
            ended: list[EndedTransfer] = []
            arrived: list[tuple[Path, str]] = []
            closing: list[str] = []
            for connection, runs in polled:
                so_far = connection.log
                if so_far.refused is not None and not runs:
                    self._throttled.warning(
                        "wrong-password", f"a client at {connection.address} gave a wrong password"
                    )
                receiver = self._receivers.get(so_far.module or "")
                if receiver is None:
                    if so_far.module is not None:
                        connection.end()  # read the configuration just before its receiver was closed
                    continue
                receiver.used_s = now_s
                connection.expects(receiver.module, receiver.begun_bytes)
                if so_far.digest is not None and so_far.digest != receiver.digest:
                    receiver.digest = so_far.digest
                    arrived.append((receiver.module.part, so_far.digest))
                if so_far.oversent:
                    log.warning(
                        "%s sends more of a plot than the %d bytes that it announced; its receiver is closed",
                        receiver.plotter,
                        receiver.module.size_bytes,
                        extra={"action": "oversent", "plot_id": receiver.plot_id},
                    )
                    closing.append(receiver.plot_id)
                elif so_far.trouble is not None:
                    ended.append(
                        EndedTransfer(
                            receiver.plot_id,
                            receiver.plotter,
                            receiver.drive,
                            receiver.ticket,
                            so_far.trouble,
                        )
                    )
            grace_s = TICKET_LIFETIME.total_seconds()
            closing += [
                receiver.plot_id for receiver in self._receivers.values() if now_s - receiver.used_s > grace_s
            ]
        for part, digest in arrived:
            self._on_arrived(part, digest)
        for plot_id in [*closing, *(each.plot_id for each in ended)]:
            self.close(plot_id)
        for each in ended:
            log.error("%s: %s", each.drive, each.reason, extra={"action": "doomed", "plot_id": each.plot_id})
            self._on_ended(each)


def _listening(port: int) -> socket.socket:
    """Listen on all addresses: the plotters may use any of them."""
    if socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first byte on."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with statefile.naming(path), os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
