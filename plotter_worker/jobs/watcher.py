"""The one thread of a host that watches its plotters.

It sleeps on pidfds (exits), inotify (logs) and an eventfd (requests of other threads); only the list of
processes is polled. Linux only, as the plotters' worker is.
"""

from __future__ import annotations

import errno
import logging
import os
import queue
import selectors
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from inotify_simple import INotify, flags

from common.system.probe import Hanging
from plotter_worker.jobs.job import TrackedJob, in_log_folder
from plotter_worker.processes.table import FoundPlotter, ProcessTable, is_running, pid_of, wrapper_of

log = logging.getLogger(__name__)

_SCAN_S = 1.0  # between two scans of the process table
_READ_PAUSE_S = 0.02  # between two reads of one log: chatty plotters write hundreds of lines a second
_TROUBLE_S = 0.5
# Errors of pidfd_open(2) for a number that no process has: the number is free, or names a thread, a session
# or a process group. Kernels from 6.9 on return ENOENT for a thread.
_NO_PROCESS = (errno.ESRCH, errno.EINVAL, errno.ENOENT)
_SLOW_READ_S = 5.0  # for logs that inotify does not report, such as those on network mounts


class Listener(Protocol):
    """Receives what the watcher sees. Called in the watcher's thread: must return fast and never wait."""

    def job_progressed(self, job: TrackedJob) -> None:
        """The job's log has new lines."""

    def job_ended(self, job: TrackedJob, exit_code: int | None) -> None:
        """The job's process has ended, and its log is read. exit_code: None if it was not our child."""

    def plotter_found(self, found: FoundPlotter) -> TrackedJob | None:
        """A plotter runs that is not watched yet; returns the job to watch, or None to ignore it."""

    def tick(self) -> None:
        """About once a second."""


@dataclass
class _Watched:
    job: TrackedJob
    pid: int
    pidfd: int | None
    child: subprocess.Popen[bytes] | None
    wrapper_fd: int | None = None  # pidfd of the process that copies its output to the log
    watch: int | None = None  # inotify's number for the log
    next_read: float = 0.0
    log_fails: bool = False  # an error is logged once for each job


class Watcher:
    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._table = ProcessTable()
        self._watched: dict[int, _Watched] = {}  # by pid
        self._by_watch: dict[int, _Watched] = {}
        self._unread: dict[int, _Watched] = {}  # by pid: the log may have new lines
        self._requests: queue.SimpleQueue[_Watched] = queue.SimpleQueue()
        self._selector = selectors.DefaultSelector()
        self._inotify = _inotify()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        if self._inotify is not None:
            self._selector.register(self._inotify.fd, selectors.EVENT_READ, self._logs_grew)
        self._selector.register(self._wake_fd, selectors.EVENT_READ, self._woken)
        self._next_scan = self._next_slow_read = 0.0  # monotonic
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="watch-plotters", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop watching. The plotters run on."""
        self._stopping = True
        self._wake()
        self._thread.join(timeout=5)

    def watch(self, job: TrackedJob, child: subprocess.Popen[bytes] | None = None) -> None:
        """Watch a job whose record names its process. From any thread.

        Args:
            child: the process, if this worker started it.
        """
        assert job.record.process is not None
        pid = pid_of(job.record.process)
        self._requests.put(_to_watch(job, pid, child))
        self._wake()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._round()
            except Exception:
                # An error with one job must not stop the watch over the others.
                log.exception("watching the plotters failed; it continues")
                time.sleep(_TROUBLE_S)

    def _round(self) -> None:
        for key, _ in self._selector.select(self._timeout_s()):
            key.data() if callable(key.data) else self._exited(key.data)
        self._take_requests()
        now = time.monotonic()
        self._read_logs(now)
        if now >= self._next_scan:
            self._next_scan = now + _SCAN_S
            self._scan()
        if now >= self._next_slow_read:
            self._next_slow_read = now + _SLOW_READ_S
            self._unread.update(self._watched)

    def _timeout_s(self) -> float:
        reads = [watched.next_read for watched in self._unread.values()]
        return max(0.0, min([self._next_scan, *reads]) - time.monotonic())

    def _take_requests(self) -> None:
        while not self._requests.empty():
            self._begin(self._requests.get())

    def _begin(self, watched: _Watched) -> None:
        identity = watched.job.record.process
        # If the process ended and its pid was reused, the pidfd names another process.
        if watched.pidfd is None or (watched.child is None and identity and not is_running(identity)):
            self._finish(watched)
            return
        self._watched[watched.pid] = self._unread[watched.pid] = watched
        self._selector.register(watched.pidfd, selectors.EVENT_READ, watched)
        self._watch_log(watched)

    def _watch_log(self, watched: _Watched) -> None:
        inotify, path = self._inotify, watched.job.record.log
        if inotify is None or path is None:
            return
        try:
            watched.watch = in_log_folder(path, lambda: inotify.add_watch(path, flags.MODIFY))
            self._by_watch[watched.watch] = watched
        except (OSError, Hanging) as error:
            log.debug("inotify fails for %s (%s): it is read every few seconds", path, error)

    def _logs_grew(self) -> None:
        assert self._inotify is not None
        for event in self._inotify.read(timeout=0):
            if watched := self._by_watch.get(event.wd):
                self._unread[watched.pid] = watched

    def _read_logs(self, now: float) -> None:
        for watched in list(self._unread.values()):
            if watched.next_read <= now:
                del self._unread[watched.pid]
                watched.next_read = now + _READ_PAUSE_S
                if self._read_log(watched):
                    self._listener.job_progressed(watched.job)

    def _read_log(self, watched: _Watched) -> bool:
        """As `TrackedJob.read_log`; an error with one log neither stops the others nor hides an end."""
        try:
            return watched.job.read_log()
        except Exception:
            if not watched.log_fails:
                watched.log_fails = True
                log.exception("the log of job %s cannot be understood", watched.job.task_id)
            return False

    def _exited(self, watched: _Watched) -> None:
        assert watched.pidfd is not None
        self._selector.unregister(watched.pidfd)
        if watched.wrapper_fd is not None:
            # The wrapper still copies the plotter's last lines: the log is complete when the wrapper ends.
            os.close(watched.pidfd)
            watched.pidfd, watched.wrapper_fd = watched.wrapper_fd, None
            self._selector.register(watched.pidfd, selectors.EVENT_READ, watched)
            return
        del self._watched[watched.pid]
        self._unread.pop(watched.pid, None)
        if self._inotify is not None and watched.watch is not None and watched.watch in self._by_watch:
            del self._by_watch[watched.watch]
            with suppress(OSError):  # the log was deleted, and its watch with it
                self._inotify.rm_watch(watched.watch)
        self._finish(watched)

    def _finish(self, watched: _Watched) -> None:
        exit_code = None
        if watched.child is not None:
            exit_code = watched.child.wait()  # it has ended: this reaps it at once
        for fd in (watched.pidfd, watched.wrapper_fd):
            if fd is not None:
                os.close(fd)
        self._read_log(watched)
        self._listener.job_ended(watched.job, exit_code)

    def _scan(self) -> None:
        for found in self._table.newcomers(set(self._watched)):
            if job := self._listener.plotter_found(found):
                self._begin(_to_watch(job, found.pid, None))
        self._listener.tick()

    def _woken(self) -> None:
        os.eventfd_read(self._wake_fd)

    def _wake(self) -> None:
        os.eventfd_write(self._wake_fd, 1)


def _to_watch(job: TrackedJob, pid: int, child: subprocess.Popen[bytes] | None) -> _Watched:
    wrapper = wrapper_of(pid) if child is None else None
    return _Watched(job, pid, _pidfd(pid), child, _pidfd(wrapper) if wrapper else None)


def _inotify() -> INotify | None:
    """None if this user's inotify limit is reached (inotify(7)): logs are then read every few seconds."""
    try:
        return INotify(nonblocking=True)
    except OSError as error:
        log.warning("inotify is not available (%s): plotters' logs are read every few seconds", error)
        return None


def _pidfd(pid: int) -> int | None:
    """None if the process has ended, even if its number names something else by now."""
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        if error.errno in _NO_PROCESS:
            return None
        raise
