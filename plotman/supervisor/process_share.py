"""`plotman plot` and `plotman archive` side by side: each runs half of this machine's processes.

One of the two runs the shared processes (broker, plotter worker, beat); the other takes them over when it
ends. Locks on files of the state folder decide that; a lock ends with its process.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from common.names import Role


class Half(StrEnum):
    """The verb that runs it."""

    PLOT = "plot"
    ARCHIVE = "archive"


# Names as in plotman.supervisor.processes. The plotter worker also finds finished plots, and deletes those
# that have arrived. So `archive` runs one that starts no plots, and stops it when `plot` runs its own.
SHARED = ("broker", Role.PLOTTER.value, "beat")
OF_HALF = {
    Half.PLOT: frozenset({Role.PLOTTER.value, "beat"}),
    Half.ARCHIVE: frozenset({Role.ARCHIVER.value, Role.HARVESTER.value, Role.PLOTTER.value, "beat"}),
}
# The half needs at least one of these.
MEANT = {
    Half.PLOT: frozenset({Role.PLOTTER.value}),
    Half.ARCHIVE: frozenset({Role.ARCHIVER.value, Role.HARVESTER.value}),
}


def half_file(state_dir: Path, half: Half) -> Path:
    """The file with the pid of this half, locked while it runs."""
    return state_dir / f"{half}.pid"


class Lock:
    """A lock on a file. Use it from one thread only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def take(self) -> bool:
        """Take the lock, or keep it. Returns whether it is ours. Raises OSError."""
        if self._fd is not None:
            return True
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._fd = fd
        return True

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def is_held(path: Path) -> bool:
    """Whether a process has this file locked."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


@dataclass(frozen=True)
class ProcessShare:
    """The right to run a shared process. yields_to: file of a half with precedence."""

    lock: Lock
    yields_to: Path | None = None

    def take(self) -> bool:
        return not self.wanted_elsewhere() and self.lock.take()

    def wanted_elsewhere(self) -> bool:
        return self.yields_to is not None and is_held(self.yields_to)
