"""One connection to a receiver: its socket, its rsync server, and when that one is ended."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from common.system import tls_relay
from common.system.marked import rsyncs_of
from common.system.openfile import position_in
from harvester_worker.receiver.greeter import Client
from harvester_worker.receiver.rsyncd import RsyncModule, ServerLog

log = logging.getLogger(__name__)

# Environment variable of each server; names its owner, so that a new worker finds servers of a killed one.
MARK = "PLOTMAN_RECEIVER"
_GRACE_S = 5.0
_LOG_BYTES = 64 << 10  # read at a time
_LOG_MOST_BYTES = 1 << 20
_CHECK_EVERY_S = 5.0  # of how far the part has come
# Lowest rate of a plotter's drive while plots are made on it: rsync first reads there all that an earlier run
# has sent, before it sends a byte.
SLOWEST_SOURCE_BYTES_S = 20e6


@dataclass(frozen=True, slots=True)
class ReceiverTimeouts:
    """Seconds after which a connection is cut.

    unacknowledged_s: bytes stay unacknowledged because the network fails silently. rsync's own timeout
        does not end its server then: it counts what it sends itself as activity.
    hello_s: without the client's hello. nameless_s: after it, without admission to a module.
    stale_s: the part has not come further by slowest_bytes_s, which is the lowest bandwidth that a plotter
        can be limited to.
    drive_s: limit for waiting on the drive, which counts as progress. A flush takes minutes; a drive that
        hangs may do so for days.
    """

    unacknowledged_s: float = 60
    hello_s: float = 10
    nameless_s: float = 10
    stale_s: float = 900
    slowest_bytes_s: float = 1000
    drive_s: float = 3600

    def silence_s(self, compared_bytes: int) -> float:
        """How long a part may come no further while both sides compare this much of it."""
        return self.stale_s + compared_bytes / SLOWEST_SOURCE_BYTES_S


TIMEOUTS = ReceiverTimeouts()


class ReceiverConnection:
    """A client after its hello, served by an rsync of its own. The caller polls.

    address: of the client. since_s: monotonic time of its connection.
    log: what the server's log says; log.module is None until the client is admitted.
    """

    def __init__(
        self,
        client: Client,
        config: Path,
        log_file: Path,
        mark: str,
        timeouts: ReceiverTimeouts,
        rsync: str,
        owner: str,
    ) -> None:
        """Start the server, which takes over the socket.

        Args:
            config: The server's configuration file.
            log_file: The server's log, as its configuration names it.
            mark: As its configuration has it.
            timeouts: When the connection is cut.
            owner: Value of MARK.

        Raises:
            OSError: The server cannot be started.
        """
        self.address, self.since_s = client.address, client.since_s
        self.log = ServerLog(mark)
        self._timeouts = timeouts
        self._config, self._log_file, self._read_bytes, self._rest = config, log_file, 0, b""
        self._reading = threading.Lock()  # who polls and who closes the receiver are two threads
        self._part: RsyncModule | None = None
        self._begun_bytes = 0
        self._full = False
        self._passed_bytes = 0
        self._begun_s = self._moved_s = self._passed_s = time.monotonic()
        self._checked_s = 0.0
        accepted = client.connection
        with contextlib.ExitStack() as closing:
            if isinstance(accepted, ssl.SSLSocket):
                ours, served = socket.socketpair()
                relay = threading.Thread(
                    target=_relay, args=(accepted, ours, client.hello), name="receiver's TLS", daemon=True
                )
                closing.callback(relay.start)  # also if rsync cannot be started: it closes both
            else:
                served = accepted
            closing.enter_context(served)
            # rsync serves one connection if its stdin is a socket.
            self._server = subprocess.Popen(
                [rsync, "--daemon", f"--config={config}"],
                stdin=served.fileno(),
                stdout=served.fileno(),
                stderr=subprocess.DEVNULL,
                env={"PATH": os.environ.get("PATH", os.defpath), MARK: owner},
                start_new_session=True,  # rsync forks: both processes are ended together
            )

    def expects(self, part: RsyncModule, begun_bytes: int) -> None:
        """Say what the client fills, once log.module is known. begun_bytes: length of it from earlier
        runs."""
        self._part, self._begun_bytes = part, begun_bytes

    def poll(self) -> bool:
        """Read the server's log, and end the server if its client is not admitted in time, floods the log, or
        comes no further with the part. Returns False once the server has ended."""
        running = self._server.poll() is None
        self.read_log()  # after the poll, so that the last lines are read too
        if not running:
            with contextlib.suppress(OSError):
                self._log_file.unlink(missing_ok=True)
                self._config.unlink(missing_ok=True)
            return False
        now_s = time.monotonic()
        if self.log.module is None and now_s - self._begun_s > self._timeouts.nameless_s:
            self.end()
        elif self._floods():
            log.warning(
                "a client at %s floods the log; it is cut", self.address, extra={"action": "flood-ended"}
            )
            self.end()
        elif self._is_stale(now_s):
            log.warning(
                "the transfer from %s came no further for too long; it is cut",
                self.address,
                extra={"action": "stale-ended"},
            )
            self.end()
        return True

    def end(self) -> None:
        """Kill both processes of the server; the part keeps what arrived. On SIGTERM rsync would first try
        for seconds to notify its client, which may be the one that does not listen."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._server.pid, signal.SIGKILL)

    def wait_ended(self) -> None:
        """End the server, wait a few seconds for it, and read the rest of its log. A server that hangs with
        its drive is not waited for; later checks find its part still open."""
        self.end()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._server.wait(_GRACE_S)
        self.read_log()

    def read_log(self) -> None:
        """Read what the server has written since the last time."""
        with self._reading, contextlib.suppress(FileNotFoundError), self._log_file.open("rb") as file:
            file.seek(self._read_bytes)
            chunk = file.read(_LOG_BYTES)
            self._read_bytes += len(chunk)
            *lines, rest = (self._rest + chunk).split(b"\n")
            self._rest = rest[-_LOG_BYTES:]
            for line in lines:
                self.log.read(line)

    def _floods(self) -> bool:
        """Whether the client has written more into the server's log than any transfer needs, which it can."""
        with contextlib.suppress(FileNotFoundError):
            return self._log_file.stat().st_size > _LOG_MOST_BYTES
        return False

    def _is_stale(self, now_s: float) -> bool:
        """Whether the part came no further for too long: by what rsync has read of it, to compare, or
        written. What comes over the network does not count, since the client may send anything. Waiting for
        the drive counts as progress, for a limited time, as in the flush at the end."""
        timeouts = self._timeouts
        if now_s - self._checked_s < min(_CHECK_EVERY_S, timeouts.stale_s / 4):
            return False
        self._checked_s = now_s
        if self._part is None:
            return False
        at_bytes, waits_for_drive = _progress(self._server.pid, self._part.part.name)
        full = at_bytes >= self._part.size_bytes
        if (
            full and not self._full
        ) or at_bytes - self._passed_bytes >= timeouts.stale_s * timeouts.slowest_bytes_s:
            self._full, self._passed_bytes, self._moved_s, self._passed_s = full, at_bytes, now_s, now_s
        elif waits_for_drive and now_s - self._passed_s < timeouts.drive_s:
            self._moved_s = now_s
        # If rsync finds a difference at the end, it compares the whole part.
        compared_bytes = self._part.size_bytes if self._full else self._begun_bytes
        return now_s - self._moved_s > timeouts.silence_s(compared_bytes)


def _relay(tls: ssl.SSLSocket, plain: socket.socket, hello: bytes) -> None:
    """Relay a connection until its server at `plain` ends."""
    with tls, plain, contextlib.suppress(OSError):
        plain.sendall(hello)
        tls_relay.carry(tls, plain)


def _progress(leader: int, part: str) -> tuple[int, bool]:
    """How far the server's processes have come in the part of this name, in bytes; whether one of them waits
    for a drive."""
    furthest, waits = 0, False
    with contextlib.suppress(psutil.NoSuchProcess):
        server = psutil.Process(leader)
        for process in (server, *server.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                furthest = max(furthest, position_in(process.pid, part) or 0)
                waits = waits or process.status() == psutil.STATUS_DISK_SLEEP
    return furthest, waits


def keep_alive(accepted: socket.socket, timeouts: ReceiverTimeouts) -> None:
    """Have the kernel detect a dead network within about a minute, tcp(7)."""
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(timeouts.unacknowledged_s * 1000))
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


def end_strays(owner: str) -> int:
    """End all servers that an earlier worker of this owner left running; the parts keep what arrived. Call it
    before the first receiver opens. Returns the number of processes."""
    strays = rsyncs_of(owner, MARK)
    for process in strays:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(strays, timeout=_GRACE_S)
    return len(strays)
