"""One `plotman up` per state folder; finds and stops processes of a killed one."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from common.errors import PlotmanError
from plotman.supervisor.process_share import Half, is_held

_ATTEMPTS, _ATTEMPT_S = 4, 0.05
STOP_S = 10  # seconds until a process that does not stop is killed
_SAME_START_S = 2  # start times shift when the clock is corrected


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
        state_dir.mkdir(parents=True, exist_ok=True)
        self._state_dir = state_dir
        self._children = state_dir / f"{half or 'up'}.children.json"
        self._whole = self._locked("up", shared=half is not None)
        try:
            self._fd = self._whole if half is None else self._locked(half, shared=False)
        except PlotmanError:
            os.close(self._whole)
            raise
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Release the lock. The file stays: if it were deleted, two processes could lock two files of its
        name."""
        os.ftruncate(self._fd, 0)
        for fd in {self._fd, self._whole}:
            os.close(fd)

    def _locked(self, verb: str, shared: bool) -> int:
        """Lock the file of the verb. Returns its descriptor. Raises PlotmanError."""
        path = self._state_dir / f"{verb}.pid"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        for attempt in range(_ATTEMPTS):
            try:
                fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError:
                if attempt + 1 < _ATTEMPTS:
                    time.sleep(_ATTEMPT_S)  # another process may only check the holder
            else:
                return fd
        os.close(fd)
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
        fresh = self._children.with_suffix(".new")
        fresh.write_text(json.dumps([asdict(record) for record in records]), encoding="utf-8")
        fresh.replace(self._children)

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
    processes = [process for _, process in reversed(left_over)]
    for process in processes:
        try:
            process.terminate()
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(processes, timeout=timeout_s)
    for process in alive:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(alive, timeout=timeout_s)
