"""Makes a part of an earlier try ready for the next one, or gives its room back. In the drive's thread."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from common.durable import make_durable
from common.errors import TransferFailed
from common.openfile import is_open_for_writing
from harvester_worker import incoming
from harvester_worker.disk import hold
from harvester_worker.incoming import Part, Record

# rsync skips a destination as long as its source, whatever is in it. A part that looks full though its
# transfer did not end well is cut by so much: rsync then compares what is there, sends the rest, and
# tells the digest of the whole.
CUT_BYTES = 1 << 20


def give_up(drive: str, part: Path) -> None:
    """Give the room back that a plot held on a drive which failed for it."""
    with incoming.locked(drive), contextlib.suppress(OSError):
        if not is_open_for_writing(part):
            incoming.drop(part)


def resume(drive: str, part: Part, record: Record) -> bool:
    """Make a part of an earlier try ready for the next; False where it is of no use and was dropped.

    Raises TransferFailed while somebody still writes it: cutting it then would leave a hole in it.
    """
    with incoming.locked(drive):
        if is_open_for_writing(part.path):
            raise TransferFailed(f"{part.path} is still being written by an earlier transfer.", "Let it end.")
        if part.record is None or part.record.size_bytes != record.size_bytes:
            incoming.drop(part.path)
            return False
        fd = os.open(part.path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            if part.length_bytes >= record.size_bytes:
                os.ftruncate(fd, max(0, record.size_bytes - CUT_BYTES))
            hold(fd, record.size_bytes)  # cutting gave back what was held beyond the end
            os.fsync(fd)
        except OSError:
            with contextlib.suppress(OSError):
                incoming.drop(part.path)
            raise
        finally:
            os.close(fd)
        begun = part.length_bytes > 0 or part.record.resumed
        boot = part.record.boot if begun else record.boot
        incoming.write_record(part.path, record.model_copy(update={"resumed": begun, "boot": boot}))
        make_durable(part.path.parent)
    return True
