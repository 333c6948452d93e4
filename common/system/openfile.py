"""Does anybody still write this file? Asked of the kernel, for nothing in a plot's name or size says so."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from pathlib import Path

_WRITING = os.O_WRONLY | os.O_RDWR


def is_open_for_writing(path: str | Path) -> bool | None:
    """True while any process on this host has the file open for writing, False when none has, None when
    that cannot be told. A file system shared over the network knows only of this host's writers.

    Raises OSError where the file cannot be opened for reading.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return not _may_lease(fd)
    except _LeaseImpossible:
        return _seen_in_proc(os.path.realpath(path))
    finally:
        os.close(fd)


def is_open_elsewhere(path: str | Path) -> bool | None:
    """True while any other process on this host has the file open, be it only to read; whatever its user, its
    namespaces and its state. None when the kernel would not say (other users' files, network drives).

    Raises OSError where the file cannot be opened for reading.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return not _may_lease(fd, fcntl.F_WRLCK)
    except _LeaseImpossible:
        return None
    finally:
        os.close(fd)


class _LeaseImpossible(Exception):
    """Leases are refused here for a reason that says nothing of writers."""


def _may_lease(fd: int, kind: int = fcntl.F_RDLCK) -> bool:
    """A read lease is granted only while nobody has the file open for writing, a write lease only while
    nobody else has it open at all, fcntl(2). It is given back at once: whoever opens the file in between
    waits for microseconds.

    Raises _LeaseImpossible for files of other users, and on file systems that have no leases.
    """
    # The kernel would announce a broken lease by SIGIO, which ends a process that does not expect it.
    fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, kind)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            return False
        raise _LeaseImpossible from error
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return True


def _seen_in_proc(real_path: str) -> bool | None:
    """Look through /proc/*/fd. None when nobody was found, yet some process would not be looked into."""
    blind = False
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            for link in (process / "fd").iterdir():
                if _writes(link, real_path):
                    return True
        except PermissionError:
            blind = True
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
    return None if blind else False


def _writes(link: Path, real_path: str) -> bool:
    """Is this /proc/PID/fd/N the file, opened for writing? proc(5): `flags` of fdinfo is octal."""
    try:
        if str(link.readlink()) != real_path:
            return False
        info = (link.parent.parent / "fdinfo" / link.name).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    flags = next((line.split()[1] for line in info.splitlines() if line.startswith("flags:")), "0")
    return bool(int(flags, 8) & _WRITING)
