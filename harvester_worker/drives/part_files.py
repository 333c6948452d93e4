"""`DRIVE/.incoming`: plots on their way in. Nothing there is named so that a farmer would take it up.

PLOT_ID.part        the bytes, on the file system of the drive; holds its room from the start
PLOT_ID.json        what it is and where it comes from, so that a restart knows
NAME.plot.refused   what came in and was no good; the source still has it
digests/NAME.plot   what a plot that was taken in should read as (harvester_worker.drives.digests)
lock                held by whoever changes anything here
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from common.errors import TransferFailed
from common.system.durable import make_durable
from common.system.openfile import is_open_for_writing

FOLDER = ".incoming"
PART, RECORD, REFUSED = ".part", ".json", ".refused"

# A failed transfer is tried again after at most an hour: its part must still be there then.
ABANDONED_S = 2 * 3600.0
# A part that was not touched for so long does not keep others off its drive; its room stays held.
IDLE_S = 15 * 60.0
# Enough for a person to look at what was refused. The source has the same bytes.
REFUSED_KEPT_S = 24 * 3600.0


class PartRecord(BaseModel):
    """The file beside a part: whose bytes it holds.

    resumed: some of the bytes are of a run that did not end well. boot: of the machine, when it was
    reserved; another one later says that bytes may have been lost from memory.
    begun_bytes: length of the part when it was last made ready for another try. left_ns: its mtime then; None
    before the second try. vain: tries in a row that wrote to it and left it no longer than it was.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    plot_id: str
    name: str  # under which it will be farmed
    size_bytes: int
    source_host: str
    path: str  # on source_host
    reserved_at: AwareDatetime
    resumed: bool = False
    boot: str | None = None
    begun_bytes: int = 0
    left_ns: int | None = None
    vain: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """A part file. record: None when nobody knows any more what it was to become."""

    path: Path
    record: PartRecord | None
    length_bytes: int
    held_bytes: int  # blocks that the file system keeps for it
    touched_s: float  # Unix time of the last change to it or its record
    written_ns: int  # its own mtime

    @property
    def to_come_bytes(self) -> int:
        """Bytes that it will take and does not hold yet; 0 where the file system holds them all."""
        return max(0, self.record.size_bytes - self.held_bytes) if self.record else 0


def folder(drive: str) -> Path:
    return Path(drive) / FOLDER


def part_path(drive: str, plot_id: str) -> Path:
    return folder(drive) / f"{plot_id}{PART}"


def prepare(drive: str) -> Path:
    """Make the folder on a drive that was just seen to be there. Raises TransferFailed when the folder
    lies on another file system than the drive: a rename into the farm would be a copy.
    """
    incoming = folder(drive)
    if not incoming.is_dir():
        incoming.mkdir(mode=0o755)
        make_durable(Path(drive))
    if incoming.stat().st_dev != Path(drive).stat().st_dev:
        raise TransferFailed(f"{incoming} is on another file system than {drive}.", f"Unmount {incoming}.")
    return incoming


@contextlib.contextmanager
def locked(drive: str) -> Iterator[None]:
    """Hold the drive against every other process and thread of ours. Waits; see common.system.probe."""
    fd = os.open(folder(drive) / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@dataclass(frozen=True, slots=True)
class Names:
    """What lies in the folder, sorted. parts: on their way in. refused: came in here and was no good."""

    parts: tuple[str, ...]
    refused: tuple[str, ...]


def listed(path: str) -> Names:
    """path: of the folder itself. Raises OSError, FileNotFoundError where it is not there."""
    names = sorted(os.listdir(path))  # noqa: PTH208
    return Names(
        tuple(name for name in names if name.endswith(PART)),
        tuple(name for name in names if name.endswith(REFUSED)),
    )


def parts(drive: str) -> list[Part]:
    """All parts on the drive; none where the folder is not there."""
    with contextlib.suppress(FileNotFoundError):
        return list(named(drive, listed(str(folder(drive))).parts))
    return []


def named(drive: str, names: Iterable[str]) -> tuple[Part, ...]:
    """These parts, as far as they are still there."""
    found = []
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            found.append(_part(folder(drive) / name))
    return tuple(found)


def record_of(part: Path) -> PartRecord | None:
    """What is written beside a part; None where there is nothing, or nothing that can be read."""
    with contextlib.suppress(FileNotFoundError, ValidationError):
        return PartRecord.model_validate_json(part.with_suffix(RECORD).read_bytes())
    return None


def _part(path: Path) -> Part:
    status = path.stat()
    touched_s = status.st_mtime
    record = record_of(path)
    with contextlib.suppress(FileNotFoundError):
        touched_s = max(touched_s, path.with_suffix(RECORD).stat().st_mtime)
    return Part(path, record, status.st_size, status.st_blocks * 512, touched_s, status.st_mtime_ns)


def write_record(part: Path, record: PartRecord) -> None:
    """Write it as a whole or not at all, and durably; also marks the part as touched."""
    beside = part.with_suffix(RECORD)
    draft = beside.with_suffix(".draft")
    draft.write_text(record.model_dump_json() + "\n", encoding="utf-8")
    make_durable(draft)
    draft.rename(beside)
    make_durable(beside.parent)


def drop(part: Path) -> None:
    """Give the part's room back."""
    part.unlink(missing_ok=True)
    part.with_suffix(RECORD).unlink(missing_ok=True)


def refused(drive: str) -> list[Path]:
    """What came in here and was no good."""
    return sorted(folder(drive).glob(f"*{REFUSED}"))


def sweep(drive: str, now: datetime, in_hand: Callable[[str], bool] = lambda _: False) -> list[Path]:
    """Remove parts that nobody works on any more, and what was refused long ago; say which.

    Never a file that is open for writing, nor one whose plot, by its id, is `in_hand`: a slow drive may be
    read back for hours. Holds the drive's lock meanwhile.
    """
    if not folder(drive).is_dir():
        return []
    gone = []
    with locked(drive):
        for part in parts(drive):
            idle = now.timestamp() - part.touched_s > ABANDONED_S
            if idle and not in_hand(part.path.stem) and not is_open_for_writing(part.path):
                drop(part.path)
                gone.append(part.path)
        for path in _left_over(drive, now.timestamp()):
            path.unlink()
            gone.append(path)
    return gone


def _left_over(drive: str, now_s: float) -> list[Path]:
    """Old refused plots, and records whose part is gone: a power cut between a rename and the rest."""
    records = folder(drive).glob(f"*{RECORD}")
    lone = [path for path in records if not path.with_suffix(PART).exists()]
    old = [path for path in lone if now_s - path.stat().st_mtime > ABANDONED_S]
    return old + [path for path in refused(drive) if now_s - path.stat().st_mtime > REFUSED_KEPT_S]


def now_utc() -> datetime:
    return datetime.now(UTC)
