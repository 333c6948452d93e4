"""Find out from the kernel whether a file is open: neither name nor size of a plot shows that it is
complete."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import stat
from pathlib import Path

_WRITING = os.O_WRONLY | os.O_RDWR


def is_open_for_writing(path: str | Path) -> bool | None:
    """Whether any process on this host has the file open for writing; None: unknown. On a network file
    system, writers on other hosts are not seen.

    Raises OSError if the file cannot be opened for reading.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return not _may_lease(fd)
    except _LeaseImpossible:
        return _seen_in_proc(os.path.realpath(path))
    finally:
        os.close(fd)


def is_open_elsewhere(path: str | Path) -> bool | None:
    """Whether any other process on this host has the file open, even only for reading, in any user, namespace
    and state. None: the kernel refuses the answer (files of other users, network drives).

    Raises OSError if the file cannot be opened for reading.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return not _may_lease(fd, fcntl.F_WRLCK)
    except _LeaseImpossible:
        return None
    finally:
        os.close(fd)


def read_beginning(path: str | Path, longest_bytes: int) -> bytes:
    """The first bytes of a regular file. A pipe or a device that somebody put in its place, which could keep
    us waiting for ever, is not read. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        with open(fd, "rb", closefd=False) as file:
            return file.read(longest_bytes)
    finally:
        os.close(fd)


def position_in(pid: int, name: str) -> int | None:
    """How far a process has read or written the files of this name, in bytes from their beginning; None: it
    has none open, or the kernel does not say. Does not touch the file's drive, which may hang."""
    found = None
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if link.readlink().name == name:
                    info = (link.parent.parent / "fdinfo" / link.name).read_text()
                    found = max(found or 0, int(info.split(maxsplit=2)[1]))  # "pos:", its value, ...
    return found


class _LeaseImpossible(Exception):
    """The kernel refuses leases here for a reason unrelated to writers."""


def _may_lease(fd: int, kind: int = fcntl.F_RDLCK) -> bool:
    """Whether a lease is granted: a read lease only while nobody has the file open for writing, a write lease
    only while nobody else has it open at all, fcntl(2). The lease is returned at once; a process that opens
    the file in between waits for microseconds.

    Raises _LeaseImpossible for files of other users, and on file systems without leases.
    """
    # The kernel signals a broken lease by SIGIO, whose default action ends the process.
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
    """Search /proc/*/fd for a writer. None: none was found, but some processes could not be searched."""
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
    """Whether this /proc/PID/fd/N is the file, opened for writing. proc(5): `flags` of fdinfo is octal."""
    try:
        if str(link.readlink()) != real_path:
            return False
        info = (link.parent.parent / "fdinfo" / link.name).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    flags = next((line.split()[1] for line in info.splitlines() if line.startswith("flags:")), "0")
    return bool(int(flags, 8) & _WRITING)
