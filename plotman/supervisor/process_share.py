"""`plotman plot` and `plotman archive` side by side: each runs a half of this machine's processes. Those that
both need (broker, plotter worker, beat) are run by one of them, and taken over by the other when it ends.

Who runs what is told by locks on files of the state folder; a lock dies with its holder, however that ends.
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
# that arrived: for `archive` it runs without starting any, and goes when `plot` comes with its own.
SHARED = ("broker", Role.PLOTTER.value, "beat")
OF_HALF = {
    Half.PLOT: frozenset({Role.PLOTTER.value, "beat"}),
    Half.ARCHIVE: frozenset({Role.ARCHIVER.value, Role.HARVESTER.value, Role.PLOTTER.value, "beat"}),
}
# Without any of these the half has nothing to do.
MEANT = {
    Half.PLOT: frozenset({Role.PLOTTER.value}),
    Half.ARCHIVE: frozenset({Role.ARCHIVER.value, Role.HARVESTER.value}),
}


def half_file(state_dir: Path, half: Half) -> Path:
    """Locked, with the pid in it, while this half runs."""
    return state_dir / f"{half}.pid"


class Lock:
    """A lock on a file, for this process. Take and release it from one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def take(self) -> bool:
        """Whether it is ours, now or before. Raises OSError where the file cannot be made."""
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
    """The right to run a process that others may run as well. yields_to: file of a half that goes first."""

    lock: Lock
    yields_to: Path | None = None

    def take(self) -> bool:
        return not self.wanted_elsewhere() and self.lock.take()

    def wanted_elsewhere(self) -> bool:
        return self.yields_to is not None and is_held(self.yields_to)
