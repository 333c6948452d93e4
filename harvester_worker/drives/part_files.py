"""`DRIVE/.incoming`: plots on their way in. No name there is one that a farmer would open.

PLOT_ID.part        the bytes, on the file system of the drive; its space is allocated at the start
PLOT_ID.json        the part's record: which plot, and its source; survives restarts
NAME.plot.refused   a copy that was refused; the source still exists
NAME.plot.leaving   a plot of an evacuated drive that is about to be deleted (harvester_worker.evacuation)
NAME.plot.replaced  an old plot that is about to be deleted (harvester_worker.replot)
digests/NAME.plot   digest of a plot that was taken in (harvester_worker.drives.digests)
lock                held while anything here is changed
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, Field, ValidationError

from common.errors import TransferFailed
from common.system.openfile import is_open_for_writing, read_beginning
from common.system.statefile import Stored, make_durable

FOLDER = ".incoming"
MOST_BYTES = 1 << 20  # of a record or a digest's file, which have some hundreds
PART, RECORD, REFUSED = ".part", ".json", ".refused"

# A failed transfer is tried again after at most an hour: its part must still be there then.
ABANDONED_S = 2 * 3600.0
# A part untouched for this long does not count as a writer of its drive; its space stays allocated.
IDLE_S = 15 * 60.0
# A file that was touched further ahead than this is from before a change of the clock.
AHEAD_S = 60.0
# Time to inspect a refused copy. The source has the same bytes.
REFUSED_KEPT_S = 24 * 3600.0
REFUSED_KEPT = 2  # on each drive, the newest ones: a plotter could fill all drives with refused copies


class PartRecord(Stored):
    """The record beside a part: its plot and the state of the transfer.

    resumed: some of the bytes are of a run that failed. boot: boot id at the reservation; if it differs
        later, bytes may have been lost from memory.
    begun_bytes: length of the part at the start of the last try. left_ns: its mtime then; None before the
        second try. vain: tries in a row that wrote to it and did not lengthen it.
    reserved_at: of the first reservation, or of the first after a try that lengthened the part.
    move: of beat that it was last reserved for. door: the plot comes through a receiver.
    digest: of the plot as it came through the receiver; None until all of it arrived.
    evacuates: the plot comes from another farming drive.
    """

    plot_id: str
    name: str  # farmed name
    size_bytes: Annotated[int, Field(ge=0, le=1 << 40)]  # a plot of k35 has 884 GB
    source_host: str
    path: str  # on source_host
    reserved_at: AwareDatetime
    resumed: bool = False
    boot: str | None = None
    begun_bytes: int = 0
    left_ns: int | None = None
    vain: int = 0
    move: str | None = None
    door: bool = False
    digest: str | None = None
    evacuates: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """A part file. record: None if it is missing or unreadable."""

    path: Path
    record: PartRecord | None
    length_bytes: int
    held_bytes: int  # allocated by the file system
    touched_s: float  # Unix time of the last change to it or its record
    written_ns: int  # its own mtime

    @property
    def to_come_bytes(self) -> int:
        """Bytes that are not allocated yet; 0 if the file system has allocated them all."""
        return max(0, self.record.size_bytes - self.held_bytes) if self.record else 0


def folder(drive: str) -> Path:
    return Path(drive) / FOLDER


def part_path(drive: str, plot_id: str) -> Path:
    return folder(drive) / f"{plot_id}{PART}"


def prepare(drive: str) -> Path:
    """Create the folder on a drive that was just seen mounted. Raises TransferFailed if the folder is on
    another file system than the drive: renaming a part to its farmed name would be a copy.
    """
    incoming = folder(drive)
    if not incoming.is_dir():
        incoming.mkdir(mode=0o755)
        make_durable(Path(drive))
    if incoming.stat().st_dev != Path(drive).stat().st_dev:
        raise TransferFailed(f"{incoming} is on another file system than {drive}.", f"Unmount {incoming}.")
    return incoming


def must_be_own(path: str | Path, status: os.stat_result) -> None:
    """Raises NotADirectoryError where a folder of ours, by its lstat, is a link: what is written and deleted
    there would lie elsewhere."""
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "it is no folder, but a link or a file: remove it", str(path))


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Path]:
    """Open a folder of ours, and yield a path that leads to this very folder, even if somebody who may write
    to the folder above exchanges it for a link. Raises OSError, NotADirectoryError where it is a link."""
    must_be_own(path, path.lstat())
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


@contextlib.contextmanager
def locked(drive: str) -> Iterator[Path]:
    """Hold the drive against every other process and thread of ours, and yield its folder as `opened` does.
    Waits; see common.system.probe. Raises OSError, NotADirectoryError where the folder is a link."""
    with opened(folder(drive)) as incoming:
        fd = os.open(incoming / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            # Every user who may read a file can hold its lock, and this one stops the drive.
            with contextlib.suppress(PermissionError):  # of another user of this machine, who may open it
                os.fchmod(fd, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield incoming
        finally:
            os.close(fd)


def listed(path: str) -> tuple[str, ...]:
    """Names of the parts in the folder at `path`. Raises OSError, FileNotFoundError if it does not exist."""
    return tuple(sorted(name for name in os.listdir(path) if name.endswith(PART)))  # noqa: PTH208


def parts(drive: str) -> list[Part]:
    """All parts on the drive; none if the folder does not exist."""
    with contextlib.suppress(FileNotFoundError):
        return list(named(folder(drive), listed(str(folder(drive)))))
    return []


def named(incoming: Path, names: Iterable[str]) -> tuple[Part, ...]:
    """The parts with these names that still exist in the folder. Links, pipes and folders are none."""
    found = []
    for name in names:
        path = incoming / name
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISREG((status := path.lstat()).st_mode):
                found.append(_part(path, status))
    return tuple(found)


def record_of(part: Path) -> PartRecord | None:
    """The record beside a part; None if it is missing, unreadable or no file."""
    record = part.with_suffix(RECORD)
    with contextlib.suppress(FileNotFoundError, ValidationError):
        if stat.S_ISREG(record.lstat().st_mode):
            return PartRecord.model_validate_json(read_beginning(record, MOST_BYTES))
    return None


def _part(path: Path, status: os.stat_result) -> Part:
    touched_s = status.st_mtime
    record = record_of(path)
    with contextlib.suppress(FileNotFoundError):
        touched_s = max(touched_s, path.with_suffix(RECORD).lstat().st_mtime)
    return Part(path, record, status.st_size, status.st_blocks * 512, touched_s, status.st_mtime_ns)


def write_record(part: Path, record: PartRecord) -> None:
    """Replace a part's record atomically and durably; also marks the part as touched."""
    beside = part.with_suffix(RECORD)
    draft = beside.with_suffix(".draft")
    write_draft(draft, record.model_dump_json() + "\n")
    draft.rename(beside)
    make_durable(beside.parent)


def write_draft(draft: Path, text: str) -> None:
    """Make a new file of this text, durably. What has the name is removed: a link would lead elsewhere."""
    draft.unlink(missing_ok=True)
    with draft.open("x", encoding="utf-8") as file:
        file.write(text)
    make_durable(draft)


def put_aside(part: Path, incoming: Path, name: str) -> None:
    """Keep a refused copy for inspection, under a name that no farmer opens, and only the newest ones of the
    drive. incoming: from `locked`."""
    part = incoming / part.name
    aside = incoming / f"{name}{REFUSED}"
    part.rename(aside)
    os.utime(aside)
    drop(part)
    newest_first = sorted(
        incoming.glob(f"*{REFUSED}"), key=lambda path: path.lstat().st_mtime_ns, reverse=True
    )
    for path in newest_first[REFUSED_KEPT:]:
        path.unlink()


def note_digest(part: Path, digest: str, still: Callable[[], bool] = lambda: True) -> None:
    """Write into the part's record that all of the plot arrived. still: asked under the drive's lock, for
    which a hanging drive makes wait: False if the part has been reserved, or has arrived, again meanwhile."""
    with locked(str(part.parent.parent)):
        record = record_of(part)
        if record is not None and still():
            write_record(part, record.model_copy(update={"digest": digest}))


def drop(part: Path) -> None:
    """Delete a part and its record."""
    part.unlink(missing_ok=True)
    part.with_suffix(RECORD).unlink(missing_ok=True)


def refused(drive: str) -> list[Path]:
    """Copies that were refused."""
    return sorted(folder(drive).glob(f"*{REFUSED}"))


def sweep(drive: str, now: datetime, takes_in: Callable[[str], bool] = lambda _: False) -> list[Path]:
    """Delete abandoned parts and old refused copies, under the drive's lock. Never deletes a file that is
    open for writing.

    Args:
        takes_in: Whether the plot of this id is being taken in, which keeps its part: reading back from a
            slow drive takes hours.

    Returns:
        The deleted files.
    """
    if not folder(drive).is_dir():
        return []
    deleted = []
    with locked(drive) as incoming:
        _date_anew(incoming, now.timestamp())
        for part in named(incoming, listed(str(incoming))):
            idle = now.timestamp() - part.touched_s > ABANDONED_S
            if idle and not takes_in(part.path.stem) and not is_open_for_writing(part.path):
                drop(part.path)
                deleted.append(part.path)
        for path in _left_over(incoming, now.timestamp()):
            path.unlink()
            deleted.append(path)
    return [folder(drive) / path.name for path in deleted]


def _date_anew(incoming: Path, now_s: float) -> None:
    """Give files that were touched in the future the present time: they would never be old."""
    with os.scandir(incoming) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(status.st_mode) and status.st_mtime > now_s + AHEAD_S:
                os.utime(entry.path, (now_s, now_s), follow_symlinks=False)


def _left_over(incoming: Path, now_s: float) -> list[Path]:
    """Old refused copies, and records without a part, which a power cut during an admission leaves."""
    lone = [path for path in incoming.glob(f"*{RECORD}") if not path.with_suffix(PART).exists()]
    old = [path for path in lone if now_s - path.lstat().st_mtime > ABANDONED_S]
    refused_copies = incoming.glob(f"*{REFUSED}")
    return old + [path for path in refused_copies if now_s - path.lstat().st_mtime > REFUSED_KEPT_S]


def now_utc() -> datetime:
    return datetime.now(UTC)
