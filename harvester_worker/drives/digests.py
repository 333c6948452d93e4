"""What each plot's bytes should be: `DRIVE/.incoming/digests/NAME`, written when the plot is taken in.

One small file a plot, on the plot's own drive: it goes where the drive goes. Its mtime is when the plot was
last read as a whole and found right. A file that nothing here describes was put on the drive by others.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from common.system.durable import make_durable
from harvester_worker.drives import part_files

FOLDER = "digests"


class DigestEntry(BaseModel):
    """digest: of the source as rsync told it, hex. suspect: reading the plot gave another; why.
    inode, mtime_ns: of the file that was taken in; None in entries of an older plotman, which describe none.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    digest: str
    size_bytes: int
    suspect: str | None = None
    inode: int | None = None
    mtime_ns: int | None = None

    @classmethod
    def of(cls, plot: Path, digest: str) -> Self:
        """Describe a plot that was just verified. Raises OSError."""
        status = plot.lstat()
        return cls(digest=digest, size_bytes=status.st_size, inode=status.st_ino, mtime_ns=status.st_mtime_ns)

    def describes(self, status: os.stat_result) -> bool:
        """Whether a file, by its lstat, is the one that was taken in, and unchanged since."""
        seen = (status.st_size, status.st_ino, status.st_mtime_ns)
        return seen == (self.size_bytes, self.inode, self.mtime_ns)


@dataclass(frozen=True, slots=True)
class StoredDigests:
    """A plot on a drive, with what it should be. checked_s: Unix time of the last whole read, or of the
    plot's arrival."""

    plot: Path
    entry: DigestEntry
    checked_s: float


def write(drive: str, name: str, entry: DigestEntry) -> None:
    """Remember a plot's digest; replaces what was remembered of it. Raises OSError."""
    folder = part_files.folder(drive) / FOLDER
    folder.mkdir(exist_ok=True)
    draft = folder / f"{name}.draft"
    draft.write_text(entry.model_dump_json(exclude_none=True) + "\n", encoding="utf-8")
    make_durable(draft)
    draft.rename(folder / name)


def admitted(drive: str, name: str) -> DigestEntry | None:
    """What is known of the file of this name, if this harvester took in that very file and nothing is wrong
    with it. None for any other: only its content tells whether it is the plot. Raises OSError."""
    with contextlib.suppress(FileNotFoundError, ValidationError):
        entry = DigestEntry.model_validate_json((part_files.folder(drive) / FOLDER / name).read_bytes())
        if entry.suspect is None and entry.describes((Path(drive) / name).lstat()):
            return entry
    return None


def checked(drive: str, name: str) -> None:
    """The plot was read as a whole just now, and is right."""
    os.utime(part_files.folder(drive) / FOLDER / name)


def entries(drive: str) -> list[StoredDigests]:
    """All plots of this drive whose digest is known, the one first that was not read for longest. Forgets
    those that are gone. Raises OSError."""
    found = []
    for path in (part_files.folder(drive) / FOLDER).glob("*.plot*"):
        plot = Path(drive) / path.name
        if path.suffix == ".draft" or not plot.exists():
            path.unlink(missing_ok=True)
            continue
        with contextlib.suppress(ValidationError, FileNotFoundError):
            found.append(
                StoredDigests(plot, DigestEntry.model_validate_json(path.read_bytes()), path.stat().st_mtime)
            )
    return sorted(found, key=lambda kept: kept.checked_s)
