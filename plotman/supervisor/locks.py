"""Locks on files of the state folder: one `plotman up`, or its two halves; and who runs a shared process.

`plotman plot` and `plotman archive` may run side by side, each with half of this machine's processes. One of
the two runs the shared processes (broker, plotter worker, beat); the other takes them over when it ends. A
lock ends with its process.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import psutil

from common.errors import PlotmanError
from common.names import Role
from common.system import statefile
from common.system.filelock import is_held, lock_file

_ATTEMPTS, _ATTEMPT_S = 4, 0.05
STOP_S = 10  # seconds until a process that does not stop is killed
_SAME_START_S = 2  # start times shift when the clock is corrected


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


class ProcessShare:
    """The right to run a shared process, a lock on a file. Use it from one thread only.

    yields_to: file of a half with precedence; None: none has.
    """

    def __init__(self, path: Path, yields_to: Path | None = None) -> None:
        self._path = path
        self.yields_to = yields_to
        self._fd: int | None = None

    def take(self) -> bool:
        """Take the right, or keep it. Returns whether it is ours. Raises OSError."""
        if self.wanted_elsewhere():
            return False
        if self._fd is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = lock_file(self._path)
        return self._fd is not None

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def wanted_elsewhere(self) -> bool:
        return self.yields_to is not None and is_held(self.yields_to)


@dataclass(frozen=True)
class ProcessRecord:
    """A process that a supervisor started, identified by pid and start time, because pids are reused.

    created_s: seconds since the epoch, from psutil.
    """

    name: str
    pid: int
    created_s: float

    def process(self) -> psutil.Process | None:
        """The process; None if it has ended, also if another process has its pid."""
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            same = abs(process.create_time() - self.created_s) < _SAME_START_S
        except psutil.NoSuchProcess:
            return None
        return process if same else None


class InstanceLock:
    """The lock of a state folder, held until `release` or the end of the process.

    half: None for `plotman up`, which excludes everything else; the two halves may run side by side.
    Raises PlotmanError if another process holds the lock.
    """

    def __init__(self, state_dir: Path, half: Half | None = None) -> None:
        statefile.private_folder(state_dir)
        self._state_dir = state_dir
        self._children = state_dir / f"{half or 'up'}.children.json"
        self._whole = self._locked("up", shared=half is not None)
        try:
            self._fd = self._whole if half is None else self._locked(half, shared=False)
        except PlotmanError:
            os.close(self._whole)
            raise
        os.ftruncate(self._fd, 0)
        with suppress(OSError):  # a full disk; the lock holds without the pid, which only messages name
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Release the lock. The file stays: if it were deleted, two processes could lock two files of its
        name."""
        os.ftruncate(self._fd, 0)
        for fd in {self._fd, self._whole}:
            os.close(fd)

    def _locked(self, verb: str, shared: bool) -> int:
        """Lock the file of the verb. Returns its descriptor. Raises PlotmanError."""
        for _ in range(_ATTEMPTS):
            if (fd := lock_file(self._state_dir / f"{verb}.pid", shared)) is not None:
                return fd
            time.sleep(_ATTEMPT_S)  # another process may only check the holder
        raise self._already_runs(verb)

    def _already_runs(self, verb: str) -> PlotmanError:
        runs = ((name, self._holder(name)) for name in dict.fromkeys((verb, "up", *Half)))
        who, holder = next(((name, pid) for name, pid in runs if pid), (verb, "unknown"))
        return PlotmanError(
            f"`plotman {who}` already runs for {self._state_dir} (pid {holder}).",
            f"Stop that one first (`kill {holder}`; plots go on), or give this one a state folder of "
            "its own (farm: state).",
        )

    def _holder(self, verb: str) -> str:
        """Pid of the process that runs the verb; empty if none does."""
        path = self._state_dir / f"{verb}.pid"
        return path.read_text("ascii", "replace").strip() if is_held(path) else ""

    def record(self, records: Iterable[ProcessRecord]) -> None:
        """Record the running processes for the next supervisor, in case this one is killed."""
        statefile.replace(self._children, json.dumps([asdict(record) for record in records]).encode())

    def left_over(self) -> list[tuple[ProcessRecord, psutil.Process]]:
        """Running processes of an earlier supervisor."""
        try:
            found = [
                ProcessRecord(**entry) for entry in json.loads(self._children.read_text(encoding="utf-8"))
            ]
        except (FileNotFoundError, ValueError, TypeError):  # none yet, or truncated by a full disk
            return []
        return [(record, process) for record in found if (process := record.process())]


def record_of(name: str, pid: int) -> ProcessRecord | None:
    """The record of a new process; None if it has already ended."""
    try:
        return ProcessRecord(name, pid, psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None


def stop_left_over(left_over: list[tuple[ProcessRecord, psutil.Process]], timeout_s: float = STOP_S) -> None:
    """Stop processes of an earlier supervisor, the last started first. Signals pids, never groups.

    Most are already ending: the kernel has signalled them (`plotman.supervisor.exec_with_pdeathsig`).
    """
    alive = [process for _, process in reversed(left_over)]
    for stop in (psutil.Process.terminate, psutil.Process.kill):
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                stop(process)
        _, alive = psutil.wait_procs(alive, timeout=timeout_s)
