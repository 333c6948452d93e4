"""Finds all plotter processes of the machine without reading the whole process table each time.

A scan reads one line while no process was started, else it lists /proc. It reads only processes not seen
before, and young ones (a shell that will execute a plotter). Once a minute it reads everything.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil

from common.model.gpu_slots import UNKNOWN
from common.names import is_task_id
from common.system import machine
from plotter_worker.plotters.base import CommandLine
from plotter_worker.plotters.plotter import Plotter
from plotter_worker.plotters.registry import known, recognise
from plotter_worker.processes.launch import GPU_VARIABLE, STATE_VARIABLE, TASK_ID_VARIABLE

_ONE_GPU = re.compile(r"[A-Za-z0-9-]{1,64}")
_YOUNG_S = 10.0
_FULL_SCAN_S = 60.0
_LIST_S = 10.0  # at least this often: in some containers /proc/loadavg shows no new processes
_READ_BYTES = 1 << 14
_PROC = Path("/proc")


@dataclass(frozen=True)
class FoundPlotter:
    """A plotter process.

    Attributes:
        identity: unique, also after its pid is reused or the machine restarts.
        started_at_s: seconds since the epoch.
        task_id, state_dir: from its environment, if a plotman started it.
        gpu: that it uses, if its environment names one; empty: not known which; None: it uses none.
        log: file that its stdout goes to, possibly through its wrapper; None if that is not a file.
    """

    pid: int
    identity: str
    started_at_s: float
    argv: tuple[str, ...]
    plotter: Plotter
    command: CommandLine
    task_id: str | None
    state_dir: str | None
    log: str | None
    gpu: str | None = None


class ProcessTable:
    """Remembers the processes seen. For one thread."""

    def __init__(self) -> None:
        self._seen: set[str] = set()  # names in /proc, as of the last listing
        self._young: dict[int, float] = {}  # pid -> when first seen, monotonic
        self._last_pid: bytes | None = None
        self._changed = True
        self._next_listing = self._next_full_scan = 0.0

    def newcomers(self, known: set[int]) -> list[FoundPlotter]:
        """Running plotters whose pids are not `known`."""
        now = time.monotonic()
        if self._may_have_newcomers(now):
            self._list(now)
        pids = set(self._young)
        if now >= self._next_full_scan:
            self._next_full_scan = now + _FULL_SCAN_S
            pids = {int(name) for name in self._seen if name.isdigit()}
        found = [plotter for pid in pids - known if (plotter := _inspect(pid))]
        self._young = {pid: since for pid, since in self._young.items() if now - since <= _YOUNG_S}
        return found

    def _may_have_newcomers(self, now: float) -> bool:
        """Whether a process may have started since the last listing.

        A process gets its pid a moment before /proc lists it: after each change the next scan lists again.
        """
        last_pid = _last_pid()
        changed = last_pid is None or last_pid != self._last_pid
        self._last_pid, self._changed, changed_before = last_pid, changed, self._changed
        return changed or changed_before or now >= self._next_listing or now >= self._next_full_scan

    def _list(self, now: float) -> None:
        self._next_listing = now + _LIST_S
        names = set(os.listdir(_PROC))  # noqa: PTH208  a third of the cost
        for name in names - self._seen:
            if name.isdigit():
                self._young[int(name)] = now
        self._seen = names


def _last_pid() -> bytes | None:
    """Pid of the newest process or thread: the fifth field of /proc/loadavg, see proc_loadavg(5).

    None if /proc shows only processes (systemd's ProcSubset=pid).
    """
    try:
        return _read("/proc/loadavg").rpartition(b" ")[2]
    except OSError:
        return None


def _inspect(pid: int) -> FoundPlotter | None:
    """The plotter of this pid; None for other processes, for one that ends, and for one we may not read."""
    try:
        raw = _cmdline(pid)
        if not raw or raw.startswith(b"nice\0"):  # a kernel thread, a zombie, or a launch
            return None
        if not _is_a_plotters(raw, known()):
            return None
        argv = _argv(raw)
        process = psutil.Process(pid)
        parent = _parents_cmdline(process)
        if parent == raw:
            return None  # a plotter's own child, between fork and exec
        recognised = recognise(argv, _text(process.cwd()))
        if recognised is None or recognised[1].wrapper:
            return None
        environment = process.environ()
        task_id = environment.get(TASK_ID_VARIABLE, "")
        return FoundPlotter(
            pid=pid,
            identity=identity(pid),
            started_at_s=process.create_time(),
            argv=argv,
            plotter=recognised[0],
            command=recognised[1],
            task_id=task_id if is_task_id(task_id) else None,
            state_dir=environment.get(STATE_VARIABLE),
            gpu=_gpu(environment, *recognised),
            log=_stdout_file(pid) or (_wrappers_log(process.ppid()) if _is_wrapper(parent) else None),
        )
    except (OSError, psutil.Error):
        return None


def _gpu(environment: Mapping[str, str], plotter: Plotter, command: CommandLine) -> str | None:
    if not plotter.uses_gpu(command.mode):
        return None
    named = environment.get(GPU_VARIABLE, "")
    return named if _ONE_GPU.fullmatch(named) else UNKNOWN


def shows(pid: int) -> bool:
    """Whether the process table shows by now that this process is a plotter.

    After each exec, also of `nice` and `env`, a command line is empty for a moment.

    Raises:
        OSError: the process has ended.
    """
    return _is_a_plotters(_cmdline(pid), known())


@lru_cache(maxsize=2048)
def _is_a_plotters(cmdline: bytes, plotters: tuple[Plotter, ...]) -> bool:  # noqa: ARG001
    """Cached, because all processes of the machine are read again each minute. plotters: those that are
    known, of which a new plotman.yaml may name another."""
    return recognise(_argv(cmdline), "/") is not None


def wrapper_of(pid: int) -> int | None:
    """Pid of the `chia plotters madmax` that started this plotter and copies its output to the log."""
    try:
        process = psutil.Process(pid)
        return process.ppid() if _is_wrapper(_parents_cmdline(process)) else None
    except psutil.Error:
        return None


def _is_wrapper(cmdline: bytes) -> bool:
    recognised = recognise(_argv(cmdline), "/")
    return recognised is not None and recognised[1].wrapper


def _argv(cmdline: bytes) -> tuple[str, ...]:
    """The arguments, with bytes that are not UTF-8 replaced, so that records and snapshots can hold them."""
    return tuple(part.decode(errors="replace") for part in cmdline.rstrip(b"\0").split(b"\0"))


def _text(path: str) -> str:
    """A path for records and snapshots, with bytes that are not UTF-8 replaced."""
    return path.encode(errors="surrogateescape").decode(errors="replace")


def _parents_cmdline(process: psutil.Process) -> bytes:
    """Empty if the parent is invisible: outside of our container (pid 0), or another user's with hidepid."""
    try:
        return _cmdline(process.ppid())
    except OSError:
        return b""


def _cmdline(pid: int) -> bytes:
    return _read(f"/proc/{pid}/cmdline")


def _read(path: str) -> bytes:
    """A small file of /proc. Raises OSError."""
    fd = os.open(
        path, os.O_RDONLY | os.O_CLOEXEC
    )  # a file object takes three times as long, and scans are frequent
    try:
        text = os.read(fd, _READ_BYTES)
        while text and (more := os.read(fd, _READ_BYTES)):
            text += more
        return text
    finally:
        os.close(fd)


def _stdout_file(pid: int) -> str | None:
    """Path of the regular file that the process' stdout goes to."""
    target = (_PROC / str(pid) / "fd" / "1").readlink()
    return _text(str(target)) if target.is_file() else None


def _wrappers_log(pid: int) -> str | None:
    """Returns None if unreadable; the plotter still counts."""
    try:
        return _stdout_file(pid)
    except OSError:
        return None


def open_output(process_identity: str) -> Path | None:
    """A path that opens the file of a running process' stdout, whatever its name is, and also if it is
    deleted.

    None if the process has ended or its stdout is no file: reading from a pipe would take data from its
    reader.
    """
    output = _PROC / str(pid_of(process_identity)) / "fd" / "1"
    return output if is_running(process_identity) and output.is_file() else None


def identity(pid: int) -> str:
    """Boot id, pid and start in clock ticks since boot, which do not change with the clock.

    Raises:
        OSError: there is no such process.
    """
    return f"{machine.boot_id()}:{pid}:{_stat(pid)[19]}"


def age_s(process_identity: str) -> float | None:
    """Seconds since the process started, whatever the clock was set to; None if that was before this boot."""
    if not is_of_this_boot(process_identity):
        return None
    return machine.steady_s() - int(process_identity.split(":")[2]) / os.sysconf("SC_CLK_TCK")


def is_of_this_boot(process_identity: str) -> bool:
    """Whether the machine has not restarted since the process started."""
    return process_identity.split(":")[0] == machine.boot_id()


def is_running(process_identity: str) -> bool:
    """Whether the process runs. False for a zombie, and for another process that got the same pid."""
    pid = pid_of(process_identity)
    try:
        return identity(pid) == process_identity and _stat(pid)[0] != "Z"
    except OSError:
        return False


def pid_of(process_identity: str) -> int:
    return int(process_identity.split(":")[1])


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on (proc(5) numbers them from 3)."""
    text = (_PROC / str(pid) / "stat").read_text()
    return text[text.rindex(")") + 2 :].split()
