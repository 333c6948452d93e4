"""Resumes a part of an earlier try, or deletes it. Functions of one drive run in that drive's thread."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from common.errors import TransferFailed
from common.model.snapshot import DirState
from common.system.openfile import is_open_for_writing
from common.system.probe import Hanging
from harvester_worker.drives import part_files
from harvester_worker.drives.disk import allocate
from harvester_worker.drives.existing_plots import admitted_file
from harvester_worker.drives.part_files import Part, PartRecord
from harvester_worker.drives.plot_index import PlotIndex
from harvester_worker.drives.registry import CHANGE_S, LOOK_S, DriveRegistry
from harvester_worker.drives.survey import DriveSurvey

log = logging.getLogger(__name__)

# rsync skips a destination that is as long as its source, regardless of its content. If a transfer failed and
# its part looks full, this much is cut off: rsync then compares the part, sends the rest, and prints the
# digest.
CUT_BYTES = 1 << 20
# After this number of tries in vain a plot is sent to another drive. A receiver reports how a transfer ended;
# for one over ssh, or from path to path, only the part shows it.
VAIN_MAX = 2


def tries_in_vain(part: Part) -> int:
    """Count the tries in a row that wrote to the part and did not lengthen it, as on a drive that is full or
    fails. A try that did not write proves nothing about the drive."""
    record = part.record
    if record is None or record.left_ns is None:
        return 0
    if part.length_bytes > record.begun_bytes:
        return 0
    return record.vain + (part.written_ns != record.left_ns)


def tried_at_s(part: Part, record: PartRecord) -> float:
    """Unix time of the last byte that its last try has added, or of its reservation. Reserving it again does
    not count, nor does a trifle: a plotter could keep it for ever."""
    if part.length_bytes - record.begun_bytes >= CUT_BYTES:
        return part.written_ns / 1e9
    return record.reserved_at.timestamp()


def is_arriving(part: Part, record: PartRecord) -> bool:
    """Whether another plotter's order must leave the part alone."""
    return -part_files.AHEAD_S < time.time() - tried_at_s(part, record) < part_files.IDLE_S


def give_up(drive: str, part: Path) -> None:
    """Delete a part that no transfer will complete, unless it is open for writing."""
    with part_files.locked(drive), contextlib.suppress(OSError):
        if not is_open_for_writing(part):
            part_files.drop(part)


def resume(drive: str, part: Part, record: PartRecord, others_bytes: int = 0) -> bool:
    """Make a part of an earlier try ready for the next one.

    Args:
        part: The part as it was just seen.
        record: What the part is to become.
        others_bytes: What other parts on the same file system will still take.

    Returns:
        False if the part was deleted, because it belongs to another plot or the drive lacks space for the
        rest.

    Raises:
        TransferFailed: It is open for writing; cutting it now would leave a hole.
        OSError: The drive failed, and the part was deleted.
    """
    with part_files.locked(drive):
        if is_open_for_writing(part.path):
            raise TransferFailed(
                f"{part.path} is still being written by an earlier transfer.", "Wait until that has ended."
            )
        if part.record is None or part.record.size_bytes != record.size_bytes:
            part_files.drop(part.path)
            return False
        if part.path.lstat().st_nlink > 1:  # what is written to it would change another file of the drive
            part_files.drop(part.path)
            return False
        fd = os.open(part.path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if part.length_bytes >= record.size_bytes:
                os.ftruncate(fd, max(0, record.size_bytes - CUT_BYTES))
            # ftruncate has released the blocks beyond the end.
            needs_bytes = _to_come_bytes(fd, record) + others_bytes
            has_room = allocate(fd, record.size_bytes) or _free_bytes(fd) >= needs_bytes
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
        # See tried_at_s.
        came_further = part.length_bytes - part.record.begun_bytes >= CUT_BYTES
        reserved_at = record.reserved_at if came_further else part.record.reserved_at
        update = {"resumed": begun, "boot": boot, "reserved_at": reserved_at, **tried}
        part_files.write_record(part.path, record.model_copy(update=update))
    return True


def arrived(part: Path) -> None:
    """Reset the count of tries in vain: the drive has taken the whole plot. If the plot is sent again, the
    reason is another one, such as a worker that stops during the checks."""
    with contextlib.suppress(OSError):
        record = part_files.record_of(part)
        if record is not None and record.begun_bytes:
            part_files.write_record(part, record.model_copy(update={"vain": 0, "begun_bytes": 0}))


def drop_superseded(drives: DriveRegistry, plot_index: PlotIndex, seen: Mapping[str, DriveSurvey]) -> None:
    """Delete parts whose plot is complete on another drive: a drive that failed, or was pulled, while it took
    a plot may come back with such a part. Never a part that is open for writing.

    Args:
        plot_index: Where each plot was taken in.
        seen: The drives as they were just surveyed.
    """
    for drive, part, plot_id, home in list(_superseded(plot_index, seen)):
        try:
            # A file that this harvester did not take in may have any content.
            complete = drives.probe.run(home, partial(admitted_file, plot_id, home), LOOK_S)
            if complete is None:
                continue
            drives.probe.run(drive, partial(give_up, drive, part), CHANGE_S)
        except (Hanging, OSError) as error:
            log.debug("%s stays for now: %s", part, error)
            continue
        log.info("%s is not needed: %s is there", part, complete, extra={"action": "swept", "drive": drive})


def _superseded(
    plot_index: PlotIndex, seen: Mapping[str, DriveSurvey]
) -> Iterator[tuple[str, Path, str, str]]:
    """(drive, part on it, plot id, drive with the complete plot), by the index alone."""
    usable = {path: survey for path, survey in seen.items() if survey.report.state is DirState.OK}
    for drive, survey in usable.items():
        for part in survey.parts:
            home = plot_index.drive_of(part.record.plot_id) if part.record else None
            if part.record is None or home is None or home == drive or home not in usable:
                continue
            # The file at home is not the complete plot that makes this part needless, but its source.
            if str(Path(part.record.path).parent) != home:
                yield drive, part.path, part.record.plot_id, home


def _free_bytes(fd: int) -> int:
    figures = os.fstatvfs(fd)
    return figures.f_bavail * figures.f_frsize


def _to_come_bytes(fd: int, record: PartRecord) -> int:
    return record.size_bytes - os.fstat(fd).st_size
