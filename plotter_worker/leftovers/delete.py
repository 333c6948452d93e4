"""Deletes leftovers: exactly what a person saw, looked at again at that moment."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from plotter_worker.leftovers.rules import Evidence, File, scratch_of, sort
from plotter_worker.leftovers.scan import is_open, list_scratch

# What runs is looked at again after so long, however many files there are to delete.
_FRESH_S = 1.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file as the person saw it."""

    path: str
    inode: int
    mtime_ns: int
    size_bytes: int


@dataclass
class Report:
    """refused: (path, why) of what stays."""

    deleted: list[str] = field(default_factory=list)
    freed_bytes: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)


def delete(
    wanted: Sequence[Wanted], folders: Sequence[str], evidence: Callable[[], Evidence], quiet_s: float
) -> Report:
    """Delete these files as far as they are leftovers now, and as they were seen.

    folders: those of this host; nothing outside is touched. evidence: what runs now; asked again and again.
    """
    report = Report()
    rest = list(wanted)
    while rest:
        now = evidence()
        files, troubles = list_scratch(folders)
        leftovers, kept = sort(files, now, time.time(), quiet_s)
        known = {file.path: file for file in leftovers}
        reasons = {entry.file.path: entry.reason for entry in kept}
        until = time.monotonic() + _FRESH_S
        while rest and time.monotonic() < until:
            one = rest.pop(0)
            file = known.get(one.path)
            why = (
                reasons.get(one.path, _unknown(one.path, folders, troubles))
                if file is None
                else _delete(file, one, report)
            )
            if why is not None:
                report.refused.append((one.path, why))
    return report


def _unknown(path: str, folders: Sequence[str], troubles: Sequence[str]) -> str:
    folder, _, name = path.rpartition("/")
    if folder not in {one.rstrip("/") for one in folders}:
        return "it lies in no tmp or dst directory of this host"
    if scratch_of(name) is None:
        return "it is not named like a plotter's unfinished file"
    return next(
        (trouble for trouble in troubles if trouble.startswith(folder)), "it is gone, or no plain file"
    )


def _delete(file: File, wanted: Wanted, report: Report) -> str | None:
    """Why not, or None when it is done."""
    if (file.inode, file.mtime_ns, file.size_bytes) != (wanted.inode, wanted.mtime_ns, wanted.size_bytes):
        return "it has changed since it was listed"
    try:
        with _directory(file.folder) as (fd, alone):
            scratch = scratch_of(file.name)
            if not alone and (scratch is None or scratch.plot_id is None):
                # A plotter that begins now would take up files of these names.
                return "a plot is being started there"
            status = os.stat(file.name, dir_fd=fd, follow_symlinks=False)
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if not stat.S_ISREG(status.st_mode) or seen != (file.inode, file.mtime_ns, file.size_bytes):
                return "it has changed since it was listed"
            if is_open(Path(file.path)):
                return "a process has it open"
            os.unlink(file.name, dir_fd=fd)
    except OSError as error:
        return f"it cannot be deleted: {error.strerror}"
    report.deleted.append(file.path)
    report.freed_bytes += status.st_blocks * 512
    return None


@contextmanager
def _directory(folder: str) -> Iterator[tuple[int, bool]]:
    """The directory's descriptor, and whether no plotman starts a plot in it meanwhile (see starting.py)."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        except OSError:
            alone = False
        yield fd, alone
    finally:
        os.close(fd)
