"""Deletes leftovers: only files that the operator has seen, and that still are leftovers at that moment."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from plotter_worker.leftovers.evidence import is_open, list_scratch
from plotter_worker.leftovers.rules import Evidence, File, scratch_of, sort

# Evidence is gathered again after this time, so that a plotter that starts during a long deletion is seen.
_FRESH_S = 1.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file as it was listed to the operator."""

    path: str
    inode: int
    mtime_ns: int
    size_bytes: int


@dataclass
class Report:
    """refused: (path, reason) of the files that were not deleted."""

    deleted: list[str] = field(default_factory=list)
    freed_bytes: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)


def delete(
    wanted: Sequence[Wanted], folders: Sequence[str], evidence: Callable[[], Evidence], quiet_s: float
) -> Report:
    """Delete files that are leftovers now, and unchanged since they were listed.

    Args:
        folders: The host's directories; files elsewhere are refused.
        evidence: Gathers what runs now; called again during a long deletion.
        quiet_s: Least seconds since the last change of any file of the same plot.
    """
    report = Report()
    remaining = list(wanted)
    while remaining:
        now = evidence()
        files, troubles = list_scratch(folders)
        leftovers, kept = sort(files, now, time.time(), quiet_s)
        known = {file.path: file for file in leftovers}
        reasons = {entry.file.path: entry.reason for entry in kept}
        until = time.monotonic() + _FRESH_S
        while remaining and time.monotonic() < until:
            one = remaining.pop(0)
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
        return "it is in no tmp or dst directory of this host"
    if scratch_of(name) is None:
        return "its name is not one of a plotter's unfinished files"
    return next(
        (trouble for trouble in troubles if trouble.startswith((f"{folder} ", f"{folder}:"))),
        "it no longer exists, or is no plain file",
    )


def _delete(file: File, wanted: Wanted, report: Report) -> str | None:
    """Delete one file. Returns why it was refused, or None."""
    if (file.inode, file.mtime_ns, file.size_bytes) != (wanted.inode, wanted.mtime_ns, wanted.size_bytes):
        return "it has changed since it was listed"
    try:
        with _directory(file.folder) as (fd, locked):
            scratch = scratch_of(file.name)
            if not locked and (scratch is None or scratch.plot_id is None):
                # The plotter that starts may already use files of these names.
                return "a plot is being started in its directory"
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
    """Open a directory, and try to lock it against starts (`jobs/start.py` holds the same lock). Yields its
    descriptor, and whether it is locked."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = True
        except OSError:
            locked = False
        yield fd, locked
    finally:
        os.close(fd)
