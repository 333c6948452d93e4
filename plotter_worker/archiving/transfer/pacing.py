"""Holds the connections of a running rsync to a bandwidth that may change while it runs.

rsync takes its --bwlimit for a whole run. The kernel paces a socket instead (socket(7), SO_MAX_PACING_RATE),
and we may reach into the sockets of our own child (pidfd_getfd(2), Linux 5.6).
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import sys
from pathlib import Path

_SO_MAX_PACING_RATE = 47  # asm-generic/socket.h; Python does not name it
_PIDFD_GETFD = 438  # asm-generic/unistd.h; the same on every architecture
_UNLIMITED = 0xFFFF_FFFF_FFFF_FFFF

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def available() -> bool:
    """Whether this kernel lets us; some containers do not. Tried on ourselves."""
    if not Path(f"/proc/self/task/{os.getpid()}/children").exists():
        return False  # what a transfer starts could not be found
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
    """Hold every network connection of our child `pid` and of its children, of which one may be what
    carries it through TLS, to a rate; None: no limit. How many there are: 0 before it has connected, and
    when it has ended. Raises OSError where the kernel does not let us."""
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
    """Asked of the kernel: to look through all processes would take long, many times a second."""
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
            return False  # closed meanwhile
        raise
    with socket.socket(fileno=fd) as borrowed:
        if borrowed.family not in (socket.AF_INET, socket.AF_INET6):
            return False
        rate = _UNLIMITED if rate_bytes_s is None else max(1024, int(rate_bytes_s))
        borrowed.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, rate.to_bytes(8, sys.byteorder))
    return True


def _borrow(pidfd: int, number: int) -> int:
    """A descriptor of ours for what the other process has open as `number`."""
    fd = int(_libc.syscall(_PIDFD_GETFD, pidfd, number, 0))
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return fd
