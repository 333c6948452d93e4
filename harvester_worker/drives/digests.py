"""Digests of the plots on a drive: `DRIVE/.incoming/digests/NAME`, written when the plot is taken in.

One small file for each plot, on the plot's own drive, so that it moves with the drive. Its mtime is the time
of the last complete read that confirmed the digest. A plot without a digest was put on the drive by others.
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
    """digest: of the source, as rsync computed it, hex. suspect: why the plot counts as damaged; None: it
    does not.
    inode, mtime_ns: of the file that was taken in; None in entries of an older plotman, which match no file.
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
        """Whether this lstat belongs to the file that was taken in, unchanged since."""
        seen = (status.st_size, status.st_ino, status.st_mtime_ns)
        return seen == (self.size_bytes, self.inode, self.mtime_ns)


@dataclass(frozen=True, slots=True)
class StoredDigest:
    """A plot on a drive and its entry. checked_s: Unix time of the last complete read, or of the
    admission."""

    plot: Path
    entry: DigestEntry
    checked_s: float


def write(drive: str, name: str, entry: DigestEntry) -> None:
    """Store the entry of the plot `name`, durably; replaces an earlier one. Raises OSError."""
    folder = part_files.folder(drive) / FOLDER
    folder.mkdir(exist_ok=True)
    draft = folder / f"{name}.draft"
    draft.write_text(entry.model_dump_json(exclude_none=True) + "\n", encoding="utf-8")
    make_durable(draft)
    draft.rename(folder / name)


def admitted(drive: str, name: str) -> DigestEntry | None:
    """The entry of the file `name`, if this harvester took in that very file and it is not suspect. None for
    any other file: only its content can prove that it is the plot. Raises OSError."""
    with contextlib.suppress(FileNotFoundError, ValidationError):
        entry = DigestEntry.model_validate_json((part_files.folder(drive) / FOLDER / name).read_bytes())
        if entry.suspect is None and entry.describes((Path(drive) / name).lstat()):
            return entry
    return None


def checked(drive: str, name: str) -> None:
    """Record that the plot `name` was read completely just now and is correct."""
    os.utime(part_files.folder(drive) / FOLDER / name)


def entries(drive: str) -> list[StoredDigest]:
    """All plots of this drive whose digest is known, the least recently read first. Deletes the entries of
    plots that no longer exist. Raises OSError."""
    found = []
    for path in (part_files.folder(drive) / FOLDER).glob("*.plot*"):
        plot = Path(drive) / path.name
        if path.suffix == ".draft" or not plot.exists():
            path.unlink(missing_ok=True)
            continue
        with contextlib.suppress(ValidationError, FileNotFoundError):
            found.append(
                StoredDigest(plot, DigestEntry.model_validate_json(path.read_bytes()), path.stat().st_mtime)
            )
    return sorted(found, key=lambda kept: kept.checked_s)
