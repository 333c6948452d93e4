"""Locks on files: held by a process until it closes the file or ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def lock_file(path: Path, shared: bool = False) -> int | None:
    """Lock the file, which is made if it is missing.

    Args:
        path: of the file.
        shared: several processes may have such a lock at the same time.

    Returns:
        Its descriptor; None if another process has it.

    Raises:
        OSError: It cannot be opened.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def is_held(path: Path) -> bool:
    """Whether a process has this file locked for itself alone. Raises OSError."""
    fd = lock_file(path, shared=True) if path.exists() else -1
    if fd is not None and fd >= 0:
        os.close(fd)
    return fd is None
