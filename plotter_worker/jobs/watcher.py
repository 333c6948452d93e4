"""The one thread of a host that follows its plotters: exits and log lines as they happen, newcomers
within a second.

It sleeps on pidfds (exits), inotify (logs) and an eventfd (requests of other threads); nothing is polled
but the list of processes. Linux only, as the plotters' worker is.
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

from plotter_worker.jobs.job import TrackedJob
from plotter_worker.processes.table import FoundPlotter, ProcessTable, is_running, pid_of, wrapper_of

log = logging.getLogger(__name__)

_LOOK_S = 1.0  # between two looks at the process table
_READ_PAUSE_S = 0.02  # between two reads of one log: chatty plotters write hundreds of lines a second
_TROUBLE_S = 0.5
# What pidfd_open(2) says of a number that no process has: of one that is free, and of one that is taken all
# the same, by a thread or as the session or group of others. Kernels from 6.9 on say the last of a thread.
_NO_PROCESS = (errno.ESRCH, errno.EINVAL, errno.ENOENT)
_SLOW_LOOK_S = 5.0  # for what inotify does not tell of, such as logs on network mounts


class Listener(Protocol):
    """Whom the watcher tells; called in its thread, so answer fast and never wait."""

    def job_moved(self, job: TrackedJob) -> None:
        """Its log went on."""

    def job_ended(self, job: TrackedJob, exit_code: int | None) -> None:
        """Its process is gone; exit_code is None where it was not our child. The log is read to its end."""

    def plotter_found(self, found: FoundPlotter) -> TrackedJob | None:
        """A plotter that is not followed yet; the job to follow, or None to leave it alone."""

    def tick(self) -> None:
        """About once a second."""


@dataclass
class _Followed:
    job: TrackedJob
    pid: int
    pidfd: int | None
    child: subprocess.Popen[bytes] | None
    wrapper_fd: int | None = None  # pidfd of the process through which its words come to the log
    watch: int | None = None  # inotify's number for the log
    next_read: float = 0.0


class Watcher:
    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._table = ProcessTable()
        self._followed: dict[int, _Followed] = {}  # by pid
        self._by_watch: dict[int, _Followed] = {}
        self._dirty: dict[int, _Followed] = {}  # by pid: whose log is to be read on
        self._requests: queue.SimpleQueue[_Followed] = queue.SimpleQueue()
        self._selector = selectors.DefaultSelector()
        self._inotify = _inotify()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        if self._inotify is not None:
            self._selector.register(self._inotify.fd, selectors.EVENT_READ, self._logs_grew)
        self._selector.register(self._wake_fd, selectors.EVENT_READ, self._woken)
        self._next_look = self._next_slow_look = 0.0  # monotonic
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="watch-plotters", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop following. The plotters go on."""
        self._stopping = True
        self._wake()
        self._thread.join(timeout=5)

    def follow(self, job: TrackedJob, child: subprocess.Popen[bytes] | None = None) -> None:
        """Follow a job whose record names its process. From any thread."""
        assert job.record.process is not None
        pid = pid_of(job.record.process)
        self._requests.put(_to_follow(job, pid, child))
        self._wake()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._round()
            except Exception:
                # One job that makes trouble must not blind us to all others.
                log.exception("a look at the plotters failed; going on")
                time.sleep(_TROUBLE_S)

    def _round(self) -> None:
        for key, _ in self._selector.select(self._timeout_s()):
            key.data() if callable(key.data) else self._exited(key.data)
        self._take_requests()
        now = time.monotonic()
        self._read_dirty(now)
        if now >= self._next_look:
            self._next_look = now + _LOOK_S
            self._look()
        if now >= self._next_slow_look:
            self._next_slow_look = now + _SLOW_LOOK_S
            self._dirty.update(self._followed)

    def _timeout_s(self) -> float:
        reads = [followed.next_read for followed in self._dirty.values()]
        return max(0.0, min([self._next_look, *reads]) - time.monotonic())

    def _take_requests(self) -> None:
        while not self._requests.empty():
            self._begin(self._requests.get())

    def _begin(self, followed: _Followed) -> None:
        identity = followed.job.record.process
        # A pidfd of a process that ended and was replaced would be another's.
        if followed.pidfd is None or (followed.child is None and identity and not is_running(identity)):
            self._finish(followed)
            return
        self._followed[followed.pid] = self._dirty[followed.pid] = followed
        self._selector.register(followed.pidfd, selectors.EVENT_READ, followed)
        self._watch_log(followed)

    def _watch_log(self, followed: _Followed) -> None:
        if self._inotify is None or followed.job.record.log is None:
            return
        try:
            followed.watch = self._inotify.add_watch(followed.job.record.log, flags.MODIFY)
            self._by_watch[followed.watch] = followed
        except OSError as error:
            log.debug("no inotify for %s (%s): it is read every few seconds", followed.job.record.log, error)

    def _logs_grew(self) -> None:
        assert self._inotify is not None
        for event in self._inotify.read(timeout=0):
            if followed := self._by_watch.get(event.wd):
                self._dirty[followed.pid] = followed

    def _read_dirty(self, now: float) -> None:
        for followed in list(self._dirty.values()):
            if followed.next_read <= now:
                del self._dirty[followed.pid]
                followed.next_read = now + _READ_PAUSE_S
                if followed.job.read_log():
                    self._listener.job_moved(followed.job)

    def _exited(self, followed: _Followed) -> None:
        assert followed.pidfd is not None
        self._selector.unregister(followed.pidfd)
        if followed.wrapper_fd is not None:
            # The plotter's last words are on their way still: they are in the log when the wrapper ends.
            os.close(followed.pidfd)
            followed.pidfd, followed.wrapper_fd = followed.wrapper_fd, None
            self._selector.register(followed.pidfd, selectors.EVENT_READ, followed)
            return
        del self._followed[followed.pid]
        self._dirty.pop(followed.pid, None)
        if self._inotify is not None and followed.watch is not None and followed.watch in self._by_watch:
            del self._by_watch[followed.watch]
            with suppress(OSError):  # the log was deleted, and its watch with it
                self._inotify.rm_watch(followed.watch)
        self._finish(followed)

    def _finish(self, followed: _Followed) -> None:
        exit_code = None
        if followed.child is not None:
            exit_code = followed.child.wait()  # it has ended: this reaps it and does not wait
        for fd in (followed.pidfd, followed.wrapper_fd):
            if fd is not None:
                os.close(fd)
        followed.job.read_log()
        self._listener.job_ended(followed.job, exit_code)

    def _look(self) -> None:
        for found in self._table.newcomers(set(self._followed)):
            if job := self._listener.plotter_found(found):
                self._begin(_to_follow(job, found.pid, None))
        self._listener.tick()

    def _woken(self) -> None:
        os.eventfd_read(self._wake_fd)

    def _wake(self) -> None:
        os.eventfd_write(self._wake_fd, 1)


def _to_follow(job: TrackedJob, pid: int, child: subprocess.Popen[bytes] | None) -> _Followed:
    wrapper = wrapper_of(pid) if child is None else None
    return _Followed(job, pid, _pidfd(pid), child, _pidfd(wrapper) if wrapper else None)


def _inotify() -> INotify | None:
    """None where this user has as many as there may be (inotify(7)): logs are then read every few seconds."""
    try:
        return INotify(nonblocking=True)
    except OSError as error:
        log.warning("no inotify (%s): plots' logs are read every few seconds", error)
        return None


def _pidfd(pid: int) -> int | None:
    """None when the process is gone already, whatever has its number now."""
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        if error.errno in _NO_PROCESS:
            return None
        raise
