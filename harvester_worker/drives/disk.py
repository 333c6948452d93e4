"""System calls that Python's os lacks: allocate beyond the end, rename without replacing."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_KEEP_SIZE = 0x01  # FALLOC_FL_KEEP_SIZE, linux/falloc.h
_NO_REPLACE = 0x01  # RENAME_NOREPLACE, linux/fs.h
_AT_FDCWD = -100  # fcntl.h

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate64.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_libc.renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)

_UNSUPPORTED = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


def allocate(fd: int, size_bytes: int) -> bool:
    """Allocate `size_bytes` for this file and keep its length: rsync appends at the length. Returns False if
    the file system cannot allocate.

    Raises OSError (ENOSPC). ext4 then keeps what it has allocated: the caller must delete the file.
    """
    if _libc.fallocate64(fd, _KEEP_SIZE, 0, size_bytes) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNSUPPORTED:
        return False
    raise OSError(code, os.strerror(code))


def rename_new(source: Path, target: Path) -> None:
    """Rename within a file system. Raises FileExistsError rather than replace a file.

    On file systems without RENAME_NOREPLACE (FUSE, old NFS) it checks first and renames then; the caller
    holds the drive's lock, so that no process of ours comes between.
    """
    if _libc.renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _NO_REPLACE) == 0:
        return
    code = ctypes.get_errno()
    if code not in _UNSUPPORTED:
        raise OSError(code, os.strerror(code), str(source), None, str(target))
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    source.rename(target)


def forget_cached(path: Path) -> None:
    """Drop the file's clean pages, so that the next read is from the drive and not from memory. Linux starts
    to write the dirty ones (mm/fadvise.c) without waiting; the next call drops those."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)
