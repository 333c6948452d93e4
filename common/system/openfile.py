"""Find out from the kernel whether a file is open: neither name nor size of a plot shows that it is
complete."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import grp
import os
import pwd
import signal
import stat
from pathlib import Path
from typing import BinaryIO

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


def has_no_writer(fd: int) -> bool:
    """Whether the kernel vouches that no process of this host has a file open for writing, in any user and
    namespace. False where it does not say: files of other users, network drives. /proc is not asked, as it
    lacks the processes of other namespaces.

    fd: the file, open for reading.
    """
    try:
        return _may_lease(fd)
    except _LeaseImpossible:
        return False


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


def open_regular(path: str | Path, flags: int = 0) -> BinaryIO:
    """Open a regular file for reading. Anything else that somebody put in its place is not opened: a pipe
    could keep us waiting for ever, and some devices act when they are opened.

    Args:
        path: of the file; a link is followed.
        flags: more flags of open(2): O_NOFOLLOW refuses a link, O_NONBLOCK a file that another process holds
            a lease of (Samba), which is otherwise waited for.

    Raises:
        OSError: The file cannot be opened, or is no regular file.
    """
    found = os.open(path, os.O_PATH | os.O_CLOEXEC | flags)
    try:
        if not stat.S_ISREG(os.fstat(found).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        # The very file that was looked at, though the path may lead elsewhere by now.
        here = f"/proc/self/fd/{found}"
        return os.fdopen(os.open(here, os.O_RDONLY | os.O_CLOEXEC | flags & ~os.O_NOFOLLOW), "rb")
    finally:
        os.close(found)


def read_beginning(path: str | Path, longest_bytes: int) -> bytes:
    """The first bytes of a regular file. Raises OSError, also for a pipe or a device."""
    with open_regular(path, os.O_NONBLOCK) as file:
        return file.read(longest_bytes)


def read_own(path: Path) -> bytes:
    """Read a regular file that only this user and root can have written. Raises OSError."""
    with open_regular(path, os.O_NOFOLLOW) as file:
        if others_may_write(path, os.fstat(file.fileno())):
            raise PermissionError(errno.EPERM, "other users may write it", str(path))
        return file.read()


def others_may_write(path: Path, status: os.stat_result) -> bool:
    """Whether a user besides this one and root may have written a file, or put it in its place.

    Args:
        path: of the file; its folder counts as well.
        status: of the file, by its descriptor.

    Raises:
        OSError: The folder cannot be looked at.
    """
    folder = path.parent.stat()
    # In a sticky folder, as /tmp, nobody replaces the file of another.
    return _is_others(status) or (not folder.st_mode & stat.S_ISVTX and _is_others(folder))


def _is_others(status: os.stat_result) -> bool:
    shared = stat.S_IWOTH if _is_private_group(status) else stat.S_IWOTH | stat.S_IWGRP
    return status.st_uid not in (0, os.geteuid()) or bool(status.st_mode & shared)


def _is_private_group(status: os.stat_result) -> bool:
    """Whether the group has the owner as its only member: many systems make one for each user, and let it
    write the user's files."""
    try:
        owner, group = pwd.getpwuid(status.st_uid), grp.getgrgid(status.st_gid)
    except KeyError:
        return False
    return owner.pw_gid == group.gr_gid and owner.pw_name == group.gr_name and not group.gr_mem


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
