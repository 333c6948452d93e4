"""Makes a part of an earlier try ready for the next one, or gives its room back. In the drive's thread."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from common.errors import TransferFailed
from common.system.durable import make_durable
from common.system.openfile import is_open_for_writing
from harvester_worker.drives import part_files
from harvester_worker.drives.disk import hold
from harvester_worker.drives.part_files import Part, PartRecord

# rsync skips a destination as long as its source, whatever is in it. A part that looks full though its
# transfer did not end well is cut by so much: rsync then compares what is there, sends the rest, and
# tells the digest of the whole.
CUT_BYTES = 1 << 20
# After so many tries in vain a plot is sent to another drive. Of a transfer through a door we hear how it
# ended; of one over ssh, or from path to path, only what the part tells.
VAIN_MAX = 2


def tries_in_vain(part: Part) -> int:
    """How many in a row wrote to the part and left it no longer than it was, as on a drive that is full or
    fails. A try that did not get so far as to write says nothing of the drive."""
    former = part.record
    if former is None or former.left_ns is None:
        return 0
    if part.length_bytes > former.begun_bytes:
        return 0
    return former.vain + (part.written_ns != former.left_ns)


def give_up(drive: str, part: Path) -> None:
    """Give the room back that a plot held on a drive which failed for it."""
    with part_files.locked(drive), contextlib.suppress(OSError):
        if not is_open_for_writing(part):
            part_files.drop(part)


def resume(drive: str, part: Part, record: PartRecord) -> bool:
    """Make a part of an earlier try ready for the next; False where it is of no use and was dropped: it is
    another's, or the drive has no room for the rest.

    Raises TransferFailed while somebody still writes it: cutting it then would leave a hole in it.
    """
    with part_files.locked(drive):
        if is_open_for_writing(part.path):
            raise TransferFailed(f"{part.path} is still being written by an earlier transfer.", "Let it end.")
        if part.record is None or part.record.size_bytes != record.size_bytes:
            part_files.drop(part.path)
            return False
        fd = os.open(part.path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            if part.length_bytes >= record.size_bytes:
                os.ftruncate(fd, max(0, record.size_bytes - CUT_BYTES))
            # Cutting gave back what was held beyond the end.
            has_room = hold(fd, record.size_bytes) or _free_bytes(fd) >= _to_come_bytes(fd, record)
            os.fsync(fd)
            left_ns = os.fstat(fd).st_mtime_ns
        except OSError:
            with contextlib.suppress(OSError):
                part_files.drop(part.path)
            raise
        finally:
            os.close(fd)
        if not has_room:
            part_files.drop(part.path)
            return False
        begun = part.length_bytes > 0 or part.record.resumed
        boot = part.record.boot if begun else record.boot
        tried = {"begun_bytes": part.length_bytes, "left_ns": left_ns, "vain": tries_in_vain(part)}
        update = {"resumed": begun, "boot": boot, **tried}
        part_files.write_record(part.path, record.model_copy(update=update))
        make_durable(part.path.parent)
    return True


def arrived(part: Path) -> None:
    """All of it is on the drive, which is no failing one: if the plot is sent once more, it is for another
    reason, as a worker that ends in the middle of the checks."""
    with contextlib.suppress(OSError):
        record = part_files.record_of(part)
        if record is not None and record.begun_bytes:
            part_files.write_record(part, record.model_copy(update={"vain": 0, "begun_bytes": 0}))


def _free_bytes(fd: int) -> int:
    figures = os.fstatvfs(fd)
    return figures.f_bavail * figures.f_frsize


def _to_come_bytes(fd: int, record: PartRecord) -> int:
    return record.size_bytes - os.fstat(fd).st_size
