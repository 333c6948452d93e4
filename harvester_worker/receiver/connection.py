"""One connection to a receiver: its socket, its rsync server, and when that one is ended."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from common.system import tls_relay
from harvester_worker.receiver import rsyncd

log = logging.getLogger(__name__)

# Environment variable of each server; names its owner, so that a new worker finds servers of a killed one.
MARK = "PLOTMAN_RECEIVER"
_GRACE_S = 5.0
_LOG_BYTES = 64 << 10
_CHECK_EVERY_S = 5.0  # of what the processes have read
# Lowest rate of a plotter's drive while plots are made on it: rsync first reads there all that an earlier run
# has sent, before it sends a byte.
SLOWEST_SOURCE_BYTES_S = 20e6
_NO_TLS = {
    tls_relay.NO_TLS: "it speaks no TLS, which harvester.receiver_tls requires; is its plotman older?",
    tls_relay.NO_HANDSHAKE: "the TLS handshake failed",
}


@dataclass(frozen=True, slots=True)
class ReceiverTimeouts:
    """Seconds after which a connection is cut.

    unacknowledged_s: bytes stay unacknowledged because the network fails silently. rsync's own timeout
        does not end its server then: it counts what it sends itself as activity.
    nameless_s: the client has not named its module.
    stale_s: the client's machine answers, and the client sends nothing.
    drive_s: limit for waiting on the drive, which counts as activity while nothing is read. A flush takes
        minutes; a drive that hangs may do so for days.
    """

    unacknowledged_s: float = 60
    nameless_s: float = 30
    stale_s: float = 900
    drive_s: float = 3600

    def silence_s(self, begun_bytes: int) -> float:
        """How long a client may send nothing while it compares `begun_bytes` first."""
        return self.stale_s + begun_bytes / SLOWEST_SOURCE_BYTES_S


TIMEOUTS = ReceiverTimeouts()


class ReceiverConnection:
    """An accepted connection, served by an rsync of its own. It has no thread: the caller polls.

    begun_bytes: length of the part from earlier runs; the caller sets it once `module` is known.
    module: name of the rsync module that the client was admitted to; None before.
    trouble: rsync's message, once the drive has failed.
    """

    def __init__(
        self,
        accepted: socket.socket,
        config: Path,
        log_file: Path,
        timeouts: ReceiverTimeouts,
        rsync: str,
        owner: str,
        tls: Path | None = None,
    ) -> None:
        """Start the server, which takes over the socket.

        Args:
            config: The server's configuration file.
            log_file: The server's log, as its configuration names it.
            timeouts: When the connection is cut.
            owner: Value of MARK.
            tls: File with the receiver's private key and certificate; None: the client speaks to rsync
                directly.

        Raises:
            OSError: The server cannot be started.
        """
        self.module: str | None = None
        self.trouble: str | None = None
        self.begun_bytes = 0
        self._timeouts = timeouts
        self._relayed = tls is not None
        self._config, self._log, self._read_bytes, self._rest = config, log_file, 0, b""
        self._begun_s = self._moved_s = self._read_s = time.monotonic()
        self._checked_s = 0.0
        self._seen_bytes = -1
        with accepted:
            _keep_alive(accepted, timeouts)
            self._client = str(accepted.getpeername()[0])
            # rsync serves one connection if its stdin is a socket.
            self._server = subprocess.Popen(
                [*(tls_relay.serving(tls) if tls else ()), rsync, "--daemon", f"--config={config}"],
                stdin=accepted.fileno(),
                stdout=accepted.fileno(),
                stderr=subprocess.DEVNULL,
                env={"PATH": os.environ.get("PATH", os.defpath), MARK: owner},
                start_new_session=True,  # rsync forks: both processes are ended together
            )

    def poll(self) -> bool:
        """Read the server's log, and end the server if the drive fails, or the client is silent for too long.
        Returns False once the server has ended."""
        running = self._server.poll() is None
        self._read_log()  # after the poll, so that the last lines are read too
        if not running:
            with contextlib.suppress(OSError):
                self._log.unlink(missing_ok=True)
                self._config.unlink(missing_ok=True)
            if self._relayed and (why := _NO_TLS.get(self._server.returncode)):
                log.warning("a client at %s was refused: %s", self._client, why, extra={"action": "no-tls"})
            return False
        now_s = time.monotonic()
        nameless = self.module is None and now_s - self._begun_s > self._timeouts.nameless_s
        if self.trouble is not None or nameless:
            self.end()
        elif self._is_stale(now_s):
            log.warning(
                "a client sent nothing for too long; its connection is cut", extra={"action": "stale-ended"}
            )
            self.end()
        return True

    def end(self) -> None:
        """Kill both processes of the server; the part keeps what arrived. On SIGTERM rsync would first try
        for seconds to notify its client, which may be the one that does not listen."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._server.pid, signal.SIGKILL)

    def wait_ended(self) -> None:
        """End the server, and wait a few seconds for it. A server that hangs with its drive is not waited
        for; later checks find its part still open."""
        self.end()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._server.wait(_GRACE_S)

    def _read_log(self) -> None:
        """Read what the server has written since the last poll."""
        with contextlib.suppress(FileNotFoundError), self._log.open("rb") as file:
            file.seek(self._read_bytes)
            chunk = file.read(_LOG_BYTES)
            self._read_bytes += len(chunk)
            *lines, rest = (self._rest + chunk).split(b"\n")
            self._rest = rest[-_LOG_BYTES:]
            for line in lines:
                self.module = self.module or rsyncd.admitted(line)
                self.trouble = self.trouble or rsyncd.trouble(line)

    def _is_stale(self, now_s: float) -> bool:
        """Whether nothing came in for too long. What the processes read, from the network or the drive,
        counts as activity; so does waiting for the drive, for a limited time, as in the flush at the end.
        What they write does not count: the server keeps sending keepalives to a client that is frozen."""
        if now_s - self._checked_s < min(_CHECK_EVERY_S, self._timeouts.stale_s / 4):
            return False
        self._checked_s = now_s
        seen_bytes, waits_for_drive = _progress(self._server.pid, self._relayed)
        if seen_bytes != self._seen_bytes:
            self._seen_bytes, self._moved_s, self._read_s = seen_bytes, now_s, now_s
        elif waits_for_drive and now_s - self._read_s < self._timeouts.drive_s:
            self._moved_s = now_s
        return now_s - self._moved_s > self._timeouts.silence_s(self.begun_bytes)


def _progress(leader: int, relayed: bool) -> tuple[int, bool]:
    """Bytes that the server's processes have read since their start, proc(5) `rchar`; whether one of them
    waits for a drive. relayed: `leader` is the TLS relay, which reads their output as well, and does not
    count."""
    total, waits = 0, False
    with contextlib.suppress(psutil.NoSuchProcess):
        server = psutil.Process(leader)
        for process in (*(() if relayed else (server,)), *server.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.io_counters().read_chars
                waits = waits or process.status() == psutil.STATUS_DISK_SLEEP
    return total, waits


def _keep_alive(accepted: socket.socket, timeouts: ReceiverTimeouts) -> None:
    """Have the kernel detect a dead network within about a minute, tcp(7)."""
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(timeouts.unacknowledged_s * 1000))
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


def end_strays(owner: str) -> int:
    """End all servers that an earlier worker of this owner left running; the parts keep what arrived. Call it
    before the first receiver opens. Returns the number of processes."""
    strays = [process for process in psutil.process_iter(["name"]) if _is_stray(process, owner)]
    for process in strays:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(strays, timeout=_GRACE_S)
    return len(strays)


def _is_stray(process: psutil.Process, owner: str) -> bool:
    try:
        return process.info["name"] == "rsync" and process.environ().get(MARK) == owner
    except psutil.Error:
        return False
