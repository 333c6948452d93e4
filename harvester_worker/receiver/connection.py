"""One connection to a door: the socket's settings, its rsync server, and how that one fares."""

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

# In the environment of each server: whose it is, should we be killed.
MARK = "PLOTMAN_DOOR"
_GRACE_S = 5.0
_LOG_BYTES = 64 << 10
_LOOK_EVERY_S = 5.0  # at what the processes read
# What a plotter's drive delivers at least, while plots are made on it: rsync reads there what an earlier run
# has sent, all of it, before it sends a byte.
SLOWEST_SOURCE_BYTES_S = 20e6
_NO_TLS = {
    tls_relay.NO_TLS: "it speaks no TLS, as plotters with an older plotman; harvester.receiver_tls wants it",
    tls_relay.NO_HANDSHAKE: "it did not agree on TLS with us",
}


@dataclass(frozen=True, slots=True)
class ReceiverTimeouts:
    """Seconds. unacknowledged_s: how long bytes may stay unacknowledged by a network that is silently gone
    (rsync's own timeout does not end its server then: it counts what it sends itself as life).
    nameless_s: until a client has said who it is. stale_s: without any byte from a client whose machine
    is there, but which does nothing. drive_s: how long waiting for the drive counts as life while nothing is
    read; a flush takes minutes, a drive that hangs may do so for days.
    """

    unacknowledged_s: float = 60
    nameless_s: float = 30
    stale_s: float = 900
    drive_s: float = 3600

    def silence_s(self, begun_bytes: int) -> float:
        """How long a client may send nothing that has so many bytes to compare first."""
        return self.stale_s + begun_bytes / SLOWEST_SOURCE_BYTES_S


PATIENCE = ReceiverTimeouts()


class ReceiverConnection:
    """An accepted connection, served by an rsync of its own. Owns neither thread nor socket: the caller
    calls `look` every now and then.

    begun_bytes: of the part, from earlier runs; for the caller to set once the client has named its module.
    """

    def __init__(
        self,
        accepted: socket.socket,
        config: Path,
        log_file: Path,
        patience: ReceiverTimeouts,
        rsync: str,
        owner: str,
        tls: Path | None = None,
    ) -> None:
        """tls: file with the door's private key and certificate; None: the client speaks to rsync directly.

        Raises OSError where the server cannot be started. The socket is the server's from now on.
        """
        self.module: str | None = None
        self.trouble: str | None = None
        self.begun_bytes = 0
        self._patience = patience
        self._relayed = tls is not None
        self._config, self._log, self._read_bytes, self._rest = config, log_file, 0, b""
        self._begun_s = self._moved_s = self._read_s = time.monotonic()
        self._looked_s = 0.0
        self._seen_bytes = -1
        with accepted:
            _keep_alive(accepted, patience)
            self._client = str(accepted.getpeername()[0])
            # rsync finds that its stdin is a socket, and serves that one connection.
            self._server = subprocess.Popen(
                [*(tls_relay.serving(tls) if tls else ()), rsync, "--daemon", f"--config={config}"],
                stdin=accepted.fileno(),
                stdout=accepted.fileno(),
                stderr=subprocess.DEVNULL,
                env={"PATH": os.environ.get("PATH", os.defpath), MARK: owner},
                start_new_session=True,  # its receiver is a process of its own: they are ended together
            )

    def look(self) -> bool:
        """False once the server has ended. Ends it where nothing good can come of it: `trouble` is rsync's
        word for it where the drive is the reason, else None."""
        running = self._server.poll() is None
        self._read_log()  # after the poll: what it wrote last is read too
        if not running:
            with contextlib.suppress(OSError):
                self._log.unlink(missing_ok=True)
                self._config.unlink(missing_ok=True)
            if self._relayed and (why := _NO_TLS.get(self._server.returncode)):
                log.warning("a client at %s was sent away: %s", self._client, why, extra={"action": "no-tls"})
            return False
        now_s = time.monotonic()
        nameless = self.module is None and now_s - self._begun_s > self._patience.nameless_s
        if self.trouble is not None or nameless:
            self.end()
        elif self._is_stale(now_s):
            log.warning("a client that sent nothing for long is cut off", extra={"action": "stale-ended"})
            self.end()
        return True

    def end(self) -> None:
        """End the server and its receiver, which keeps what arrived. Killed: asked to end, rsync first tries
        for seconds to tell its client, who may be the one that does not listen."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._server.pid, signal.SIGKILL)

    def wait_ended(self) -> None:
        """End it, and wait for that. A server that hangs with its drive is left to itself: its part is then
        seen to be still open."""
        self.end()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._server.wait(_GRACE_S)

    def _read_log(self) -> None:
        """What the server has written since the last look."""
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
        counts as life; so does waiting for the drive for a while, as in the flush at the end. What they write
        does not: the server goes on sending signs of life to a client that is frozen."""
        if now_s - self._looked_s < min(_LOOK_EVERY_S, self._patience.stale_s / 4):
            return False
        self._looked_s = now_s
        seen_bytes, waits_for_drive = _seen(self._server.pid, self._relayed)
        if seen_bytes != self._seen_bytes:
            self._seen_bytes, self._moved_s, self._read_s = seen_bytes, now_s, now_s
        elif waits_for_drive and now_s - self._read_s < self._patience.drive_s:
            self._moved_s = now_s
        return now_s - self._moved_s > self._patience.silence_s(self.begun_bytes)


def _seen(leader: int, relayed: bool) -> tuple[int, bool]:
    """Bytes that the server and its receiver have read since their start, proc(5) `rchar`; whether one of
    them waits for a drive. relayed: `leader` carries what they say as well, and does not count."""
    total, waits = 0, False
    with contextlib.suppress(psutil.NoSuchProcess):
        server = psutil.Process(leader)
        for process in (*(() if relayed else (server,)), *server.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.io_counters().read_chars
                waits = waits or process.status() == psutil.STATUS_DISK_SLEEP
    return total, waits


def _keep_alive(accepted: socket.socket, patience: ReceiverTimeouts) -> None:
    """A connection whose other end is silently gone is found out within a minute or so, tcp(7)."""
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(patience.unacknowledged_s * 1000))
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


def end_strays(owner: str) -> int:
    """End every server that an earlier worker of this owner started and that nobody watches any more; how
    many processes there were. Called before the first door; what arrived is kept."""
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
