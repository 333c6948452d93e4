"""Checks by a file of our own whether a drive takes bytes and gives them back.

What the receiver's rsync reports is no proof: its client can write lines into its log.
"""

from __future__ import annotations

import errno
import os
from tempfile import TemporaryFile

from common.model.snapshot import DirState
from common.system.probe import look
from harvester_worker.drives import part_files

_BYTES = 1 << 20


def must_take_bytes(drive: str, must_be_mounted: bool) -> None:
    """Write a nameless file in the folder of parts, flush it, and read it back. Hangs with the drive.

    Args:
        drive: its path.
        must_be_mounted: a folder that is no mounted drive fails, too.

    Raises:
        OSError: The drive cannot be written to, or gives back other bytes.
    """
    state = look(drive, must_be_mounted).state
    if state is not DirState.OK:
        raise OSError(errno.EIO, f"the drive is {state.value}", drive)
    content = os.urandom(_BYTES)
    with (
        part_files.opened(part_files.folder(drive)) as incoming,
        TemporaryFile(dir=incoming, buffering=0) as file,
    ):
        if file.write(content) < _BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), drive)
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # so that the drive itself is read
        if os.pread(file.fileno(), _BYTES, 0) != content:
            raise OSError(errno.EIO, "other bytes come back than were written", drive)
