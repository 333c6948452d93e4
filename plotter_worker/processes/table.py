"""Finds plotter processes, whoever started them, without reading the whole process table each time.

While no process was begun a look costs the reading of one line, else one listing of /proc; only processes
not seen before, and young ones (a shell that is about to become a plotter), are read. Everything is read
again once a minute.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil

from common.names import is_task_id
from common.system import machine
from plotter_worker.plotters.base import CommandLine, Plotter
from plotter_worker.plotters.registry import recognise
from plotter_worker.processes.launch import STATE_VARIABLE, TASK_ID_VARIABLE

_YOUNG_S = 10.0
_FULL_LOOK_S = 60.0
_LIST_S = 10.0  # at least so often, since some containers are not told by /proc what is begun
_READ_BYTES = 1 << 14
_PROC = Path("/proc")


@dataclass(frozen=True)
class FoundPlotter:
    """A plotter process.

    identity: names the process for ever, across reuse of its pid and reboots.
    started_at_s: seconds since the epoch.
    task_id, state_dir: from its environment, where a plotman ordered it.
    log: the file that its stdout goes to, by way of its wrapper where it has one; None where that is none.
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


class ProcessTable:
    """Remembers what was seen, for one watcher."""

    def __init__(self) -> None:
        self._seen: set[str] = set()  # names in /proc, as of the last listing
        self._young: dict[int, float] = {}  # pid -> when first seen, monotonic
        self._last_pid: bytes | None = None
        self._moved = True
        self._next_listing = self._next_full_look = 0.0

    def newcomers(self, known: set[int]) -> list[FoundPlotter]:
        """Plotters that run and whose pids are not among the `known` ones."""
        now = time.monotonic()
        if self._may_have_come(now):
            self._list(now)
        pids = set(self._young)
        if now >= self._next_full_look:
            self._next_full_look = now + _FULL_LOOK_S
            pids = {int(name) for name in self._seen if name.isdigit()}
        found = [plotter for pid in pids - known if (plotter := _look_at(pid))]
        self._young = {pid: since for pid, since in self._young.items() if now - since <= _YOUNG_S}
        return found

    def _may_have_come(self, now: float) -> bool:
        """Whether a process may have come since the last listing. One gets its pid a moment before it is
        listed: what came with the last look is looked for twice."""
        last_pid = _last_pid()
        moved = last_pid is None or last_pid != self._last_pid
        self._last_pid, self._moved, moved_before = last_pid, moved, self._moved
        return moved or moved_before or now >= self._next_listing or now >= self._next_full_look

    def _list(self, now: float) -> None:
        self._next_listing = now + _LIST_S
        names = set(os.listdir(_PROC))  # noqa: PTH208  a third of the cost
        for name in names - self._seen:
            if name.isdigit():
                self._young[int(name)] = now
        self._seen = names


def _last_pid() -> bytes | None:
    """Of the process or thread that was begun last: the fifth field of /proc/loadavg, see proc_loadavg(5).
    None where only processes are to be seen in /proc (systemd's ProcSubset=pid)."""
    try:
        return _read("/proc/loadavg").rpartition(b" ")[2]
    except OSError:
        return None


def _look_at(pid: int) -> FoundPlotter | None:
    """A process that vanishes, or that we may not look into, is not there."""
    try:
        raw = _cmdline(pid)
        if not raw or raw.startswith(b"nice\0"):  # a kernel thread, a zombie, or a launch
            return None
        if not _is_a_plotters(raw):
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
            log=_stdout_file(pid) or (_wrappers_log(process.ppid()) if _is_wrapper(parent) else None),
        )
    except (OSError, psutil.Error):
        return None


def shows(pid: int) -> bool:
    """Whether others can tell by now that this process is a plotter. Right after an exec, and again when
    `nice` or `env` become the plotter, a command line is empty for a moment. Raises OSError when it is gone.
    """
    return _is_a_plotters(_cmdline(pid))


@lru_cache(maxsize=2048)
def _is_a_plotters(cmdline: bytes) -> bool:
    """Cached, since whatever else runs on the machine is looked at again each minute."""
    return recognise(_argv(cmdline), "/") is not None


def wrapper_of(pid: int) -> int | None:
    """Pid of the `chia plotters madmax` that started this plotter, and copies what it says from a pipe to its
    own stdout, the log. None where nothing is in between."""
    try:
        process = psutil.Process(pid)
        return process.ppid() if _is_wrapper(_parents_cmdline(process)) else None
    except psutil.Error:
        return None


def _is_wrapper(cmdline: bytes) -> bool:
    recognised = recognise(_argv(cmdline), "/")
    return recognised is not None and recognised[1].wrapper


def _argv(cmdline: bytes) -> tuple[str, ...]:
    """As it can be kept and told: what is no UTF-8 in it is replaced."""
    return tuple(part.decode(errors="replace") for part in cmdline.rstrip(b"\0").split(b"\0"))


def _text(path: str) -> str:
    """A path of this machine as it can be kept and told: what is no UTF-8 in it is replaced, and it can then
    not be opened by it."""
    return path.encode(errors="surrogateescape").decode(errors="replace")


def _parents_cmdline(process: psutil.Process) -> bytes:
    """Nothing where the parent is not to be seen: it is outside of our container (pid 0), or another user's
    while /proc shows each user only their own (hidepid)."""
    try:
        return _cmdline(process.ppid())
    except OSError:
        return b""


def _cmdline(pid: int) -> bytes:
    return _read(f"/proc/{pid}/cmdline")


def _read(path: str) -> bytes:
    """A small file of /proc. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # file objects take thrice as long, and this is done a lot
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
    """None also where it may not be seen: the plotter is there all the same."""
    try:
        return _stdout_file(pid)
    except OSError:
        return None


def open_output(process_identity: str) -> Path | None:
    """The file that a running process' stdout goes to, to be opened also when it was deleted or has a name
    that is no UTF-8. None where the process is gone, and where that is no file: whoever reads from a pipe
    takes what somebody else is to read."""
    output = _PROC / str(pid_of(process_identity)) / "fd" / "1"
    return output if is_running(process_identity) and output.is_file() else None


def identity(pid: int) -> str:
    """Boot, pid and start in clock ticks since boot: unlike a time of day these never shift.

    Raises OSError when there is no such process.
    """
    return f"{machine.boot_id()}:{pid}:{_stat(pid)[19]}"


def is_of_this_boot(process_identity: str) -> bool:
    """Whether the machine has run on since the process was started."""
    return process_identity.split(":")[0] == machine.boot_id()


def is_running(process_identity: str) -> bool:
    """False also for a zombie, and for another process that has got the same pid."""
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
