"""Digests of the plots on a drive: `DRIVE/.incoming/digests/NAME`, written when the plot is taken in.

One small file for each plot, on the plot's own drive, so that it moves with the drive. Its mtime is the time
of the last complete read that confirmed the digest. A plot without a digest was put on the drive by others.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from common.model.plot_name import SUFFIXES
from common.system.openfile import read_beginning
from common.system.statefile import Stored
from harvester_worker.drives import part_files

FOLDER = "digests"


class DigestEntry(Stored):
    """digest: of the source, as rsync computed it, hex. suspect: why the plot counts as damaged, or None.
    inode, mtime_ns, ctime_ns: of the file that was taken in; None in entries of an older plotman, which match
    no file. Only the kernel sets ctime, so that a changed file with its old mtime is detected.
    """

    digest: str
    size_bytes: int
    suspect: str | None = None
    inode: int | None = None
    mtime_ns: int | None = None
    ctime_ns: int | None = None

    @classmethod
    def of(cls, plot: Path, digest: str) -> Self:
        """Describe a plot that was just verified. Raises OSError."""
        status = plot.lstat()
        return cls(
            digest=digest,
            size_bytes=status.st_size,
            inode=status.st_ino,
            mtime_ns=status.st_mtime_ns,
            ctime_ns=status.st_ctime_ns,
        )

    def renamed(self, plot: Path) -> Self:
        """The entry after the rename to `plot`, which changed the ctime. Raises OSError."""
        return self.model_copy(update={"ctime_ns": plot.lstat().st_ctime_ns})

    def describes(self, status: os.stat_result) -> bool:
        """Whether this lstat belongs to the file that was taken in, unchanged since."""
        seen = (status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
        return seen == (self.size_bytes, self.inode, self.mtime_ns, self.ctime_ns)


@dataclass(frozen=True, slots=True)
class StoredDigest:
    """A plot on a drive and its entry. checked_s: Unix time of the last complete read, or of the
    admission."""

    plot: Path
    entry: DigestEntry
    checked_s: float


def write(drive: str, name: str, entry: DigestEntry) -> None:
    """Remember a plot's digest; replaces what was remembered of it. Raises OSError."""
    (part_files.folder(drive) / FOLDER).mkdir(exist_ok=True)
    with _opened(drive) as folder:
        draft = folder / f"{name}.draft"
        part_files.write_draft(draft, entry.model_dump_json(exclude_none=True) + "\n")
        draft.rename(folder / name)


@contextlib.contextmanager
def _opened(drive: str) -> Iterator[Path]:
    """Yield the folder as part_files.opened does. Raises FileNotFoundError where there is none yet, OSError
    where it is a link: every file in it that belongs to no plot of this drive is deleted."""
    with (
        part_files.opened(part_files.folder(drive)) as incoming,
        part_files.opened(incoming / FOLDER) as folder,
    ):
        yield folder


def _read(path: Path) -> DigestEntry:
    return DigestEntry.model_validate_json(read_beginning(path, part_files.MOST_BYTES))


def admitted(drive: str, name: str) -> DigestEntry | None:
    """The entry of the file `name`, if this harvester took in that very file and it is not suspect. None for
    any other file: only its content can prove that it is the plot. Raises OSError."""
    with contextlib.suppress(FileNotFoundError, ValidationError), _opened(drive) as folder:
        entry = _read(folder / name)
        if entry.suspect is None and entry.describes((Path(drive) / name).lstat()):
            return entry
    return None


def forget(drive: str, name: str) -> None:
    """Forget a plot that was deleted. What cannot be removed is removed by the next look at the digests."""
    with contextlib.suppress(OSError), _opened(drive) as folder:
        (folder / name).unlink()


def note_read(drive: str, name: str) -> None:
    """Record that the plot `name` was read completely just now and is correct."""
    os.utime(part_files.folder(drive) / FOLDER / name)


def entries(drive: str) -> list[StoredDigest]:
    """All plots of this drive whose digest is known, the least recently read first. Deletes the entries of
    plots that no longer exist. Raises OSError."""
    found: list[StoredDigest] = []
    with contextlib.suppress(FileNotFoundError), _opened(drive) as folder:
        for path in folder.iterdir():
            if not path.name.removesuffix(".draft").endswith(SUFFIXES):
                continue
            plot = Path(drive) / path.name
            if path.suffix == ".draft" or not plot.exists():
                path.unlink(missing_ok=True)
                continue
            with contextlib.suppress(ValidationError, FileNotFoundError):
                found.append(StoredDigest(plot, _read(path), path.stat().st_mtime))
    return sorted(found, key=lambda kept: kept.checked_s)
