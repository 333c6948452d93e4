"""Divides this host's bandwidth among its running transfers. Changes of the limit take effect at once.

rsync's --bwlimit holds for a whole run. Instead the kernel paces the sockets of the running rsync (socket(7),
SO_MAX_PACING_RATE), which a parent process may borrow (pidfd_getfd(2), Linux 5.6).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from plotter_worker.archiving.transfer.rsync import SLOWEST_BYTES_S

log = logging.getLogger(__name__)

_POLL_S = 0.5
_SO_MAX_PACING_RATE = 47  # asm-generic/socket.h; Python has no name for it
_PIDFD_GETFD = 438  # asm-generic/unistd.h; the same on every architecture
_UNLIMITED = 0xFFFF_FFFF_FFFF_FFFF

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class Bandwidth:
    """limit: bytes a second for all transfers together; None: no limit. Called twice a second."""

    def __init__(self, limit: Callable[[], int | None]) -> None:
        self.limit = limit
        self.live = available()
        self._lock = threading.Lock()
        self._paced: dict[int, float | None] = {}  # pid -> rate that its sockets have
        self._copies = 0  # to mounted drives, which limit themselves
        self._all_paced = True
        self._begun = threading.Event()
        self._thread: threading.Thread | None = None

    def option(self) -> tuple[str, ...]:
        """rsync's option if its sockets cannot be paced. At least 1 KiB/s: 0 means no limit to rsync."""
        limit = self.limit()
        return () if limit is None else (f"--bwlimit={max(1, limit // 1024)}",)

    def slowest_bytes_s(self) -> float:
        """Lowest rate of a transfer that comes further at all: half of its share of the limit, if that is
        low."""
        share = self.share_bytes_s()
        return SLOWEST_BYTES_S if share is None else min(SLOWEST_BYTES_S, share / 2)

    def share_bytes_s(self) -> float | None:
        """The limit of each transfer; None: no limit."""
        limit = self.limit()
        return None if limit is None else limit / max(1, len(self._paced) + self._copies)

    @contextlib.contextmanager
    def copying(self) -> Iterator[None]:
        """Count one more transfer, which asks for its share itself."""
        with self._lock:
            self._copies += 1
        try:
            yield
        finally:
            with self._lock:
                self._copies -= 1

    def add(self, pid: int) -> None:
        """Pace this rsync until `remove`."""
        if not self.live:
            return
        with self._lock:
            self._paced[pid] = None
            self._begun.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="bandwidth", daemon=True)
                self._thread.start()

    def remove(self, pid: int) -> None:
        with self._lock:
            self._paced.pop(pid, None)

    def _run(self) -> None:
        while True:
            with self._lock:
                self._begun.clear()
                if not self._paced:
                    self._thread = None
                    return
                self._pace_all()
            # A new connection must be paced soon: a fast network sends 100 MB in a second.
            self._begun.wait(_POLL_S if self._all_paced else 0.02)

    def _pace_all(self) -> None:
        share = self.share_bytes_s()
        self._all_paced = True
        for pid, rate in self._paced.items():
            if rate == share:
                continue
            try:
                if pace(pid, share):
                    self._paced[pid] = share
                else:
                    self._all_paced = False
            except OSError as error:
                log.warning("bandwidth cannot be limited: %s", error, extra={"action": "not-paced"})
                self._paced[pid] = share


def available() -> bool:
    """Whether this kernel allows pacing; some containers forbid it. Tried on a socket of this process."""
    if not Path(f"/proc/self/task/{os.getpid()}/children").exists():
        return False  # the children of a transfer could not be found
    try:
        with socket.socket() as own:
            pidfd = os.pidfd_open(os.getpid())
            try:
                os.close(_borrow(pidfd, own.fileno()))
            finally:
                os.close(pidfd)
    except OSError:
        return False
    return True


def pace(pid: int, rate_bytes_s: float | None) -> int:
    """Limit every network connection of a child process and of its children (one may be the TLS relay).

    Args:
        rate_bytes_s: For each connection; None: no limit.

    Returns:
        Number of connections: 0 before it has connected, and after it has ended.

    Raises:
        OSError: The kernel forbids it.
    """
    paced = sum(pace(child, rate_bytes_s) for child in _children(pid))
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return paced
    try:
        return paced + sum(_pace_one(pidfd, number, rate_bytes_s) for number in _socket_numbers(pid))
    finally:
        os.close(pidfd)


def _children(pid: int) -> list[int]:
    """Read from /proc/PID/task: scanning all processes is too slow for many calls a second."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _socket_numbers(pid: int) -> list[int]:
    found = []
    try:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if str(link.readlink()).startswith("socket:"):
                    found.append(int(link.name))
            except FileNotFoundError:
                continue
    except (FileNotFoundError, ProcessLookupError):
        return []
    return found


def _pace_one(pidfd: int, number: int, rate_bytes_s: float | None) -> bool:
    try:
        fd = _borrow(pidfd, number)
    except OSError as error:
        if error.errno in (errno.EBADF, errno.ESRCH):
            return False  # closed in the meantime
        raise
    with socket.socket(fileno=fd) as borrowed:
        if borrowed.family not in (socket.AF_INET, socket.AF_INET6):
            return False
        rate = _UNLIMITED if rate_bytes_s is None else max(1024, int(rate_bytes_s))
        borrowed.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, rate.to_bytes(8, sys.byteorder))
    return True


def _borrow(pidfd: int, number: int) -> int:
    """Duplicate the other process's descriptor `number` into this process."""
    fd = int(_libc.syscall(_PIDFD_GETFD, pidfd, number, 0))
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return fd
