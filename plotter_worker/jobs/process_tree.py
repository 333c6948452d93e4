"""A plotter's process tree: all that has to be stopped, let go on or killed together."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Iterable

import psutil

from common.errors import OrderRefused
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.processes import session
from plotter_worker.processes.table import is_running, pid_of, wrapper_of

log = logging.getLogger(__name__)

_ROUNDS = 5  # looks for children that were forked while the others were being stopped
_STOP_S = 5.0  # a process in the midst of a disk access stops when that is done
_KILL_S = 10.0
_LOOK_S = 0.01
_STOPPED = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP, psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


def tree(job: TrackedJob) -> list[psutil.Process]:
    """The plotter, what it started, and the wrapper that started it (`chia plotters madmax`), which would
    otherwise take the end of its child for the plot's. Empty when it has ended."""
    identity = job.record.process
    if identity is None or not is_running(identity):
        return []
    found: dict[int, psutil.Process] = {}
    try:
        root = psutil.Process(pid_of(identity))
        found[root.pid] = root
        pid = root.pid
        while (wrapper := wrapper_of(pid)) is not None:
            found[wrapper] = psutil.Process(wrapper)
            pid = wrapper
        for one in list(found.values()):
            found |= {child.pid: child for child in one.children(recursive=True)}
        if job.record.ours:  # the first of a session of its own (launcher): orphans in it are known by that
            found |= {process.pid: process for process in session.members(root.pid)}
    except psutil.Error:
        return list(found.values())  # it ends this moment
    return list(found.values())


def suspend(job: TrackedJob) -> bool:
    """Stop the whole tree; True when it stands still. Raises OrderRefused where that is not allowed."""
    for _ in range(_ROUNDS):
        processes = tree(job)
        _signal(processes, signal.SIGSTOP)
        if {process.pid for process in tree(job)} <= {process.pid for process in processes}:
            break
    return _until(lambda: all(_stands(process) for process in tree(job)), _STOP_S)


def resume(job: TrackedJob) -> None:
    """Let the whole tree go on. Raises OrderRefused where that is not allowed."""
    _signal(tree(job), signal.SIGCONT)


def kill(processes: Iterable[psutil.Process]) -> bool:
    """Kill them; True when all are gone. SIGKILL: of SIGTERM no plotter cleans up, madMAx with several plots
    to make goes on with the one it has, and a stopped process would not die of it."""
    doomed = list(processes)
    _signal(doomed, signal.SIGKILL)
    # A zombie is dead, whenever whoever started it takes note.
    return _until(lambda: all(_is_dead(process) for process in doomed), _KILL_S)


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue
        except psutil.AccessDenied as error:
            raise OrderRefused(
                f"The worker's user may not signal pid {process.pid}, which belongs to {_owner(process)}.",
                "Signal it on its host, as its user or as root.",
            ) from error


def _owner(process: psutil.Process) -> str:
    try:
        return process.username()
    except psutil.Error:
        return "another user"


def _is_dead(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True


def _stands(process: psutil.Process) -> bool:
    try:
        return process.status() in _STOPPED
    except psutil.Error:
        return True  # gone


def _until(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_LOOK_S)
    return True
