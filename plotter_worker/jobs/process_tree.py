"""A plotter's process tree: all processes that are suspended, resumed or killed together."""

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

_ROUNDS = 5  # searches for children that were forked while the others were being stopped
_STOP_S = 5.0  # a process stops only after its disk access is done
_KILL_S = 10.0
_POLL_S = 0.01
_STOPPED = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP, psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


def tree(job: TrackedJob) -> list[psutil.Process]:
    """The plotter, its descendants, and the wrapper that started it; empty if it has ended.

    The wrapper (`chia plotters madmax`) would take its child's end for the end of the plot.
    """
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
        if job.record.ours:  # leads a session of its own (launch), by which orphans are found
            found |= {process.pid: process for process in session.members(root.pid)}
    except psutil.Error:
        return list(found.values())  # it is ending
    return list(found.values())


def suspend(job: TrackedJob) -> bool:
    """Stop the whole tree; True if all of it is stopped. Raises OrderRefused if a signal is not permitted."""
    for _ in range(_ROUNDS):
        processes = tree(job)
        _signal(processes, signal.SIGSTOP)
        if {process.pid for process in tree(job)} <= {process.pid for process in processes}:
            break
    return _until(lambda: all(_is_stopped(process) for process in tree(job)), _STOP_S)


def resume(job: TrackedJob) -> None:
    """Continue the whole tree. Raises OrderRefused if a signal is not permitted."""
    _signal(tree(job), signal.SIGCONT)


def kill(processes: Iterable[psutil.Process]) -> bool:
    """Kill the processes; True if all have ended. Raises OrderRefused if a signal is not permitted.

    Why SIGKILL: no plotter cleans up on SIGTERM, madMAx with several plots finishes its current one first,
    and a stopped process ignores it.
    """
    killed = list(processes)
    _signal(killed, signal.SIGKILL)
    return _until(lambda: all(_is_dead(process) for process in killed), _KILL_S)


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
    """True also for a zombie, which its parent has not reaped yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True


def _is_stopped(process: psutil.Process) -> bool:
    try:
        return process.status() in _STOPPED
    except psutil.Error:
        return True  # it has ended


def _until(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True
