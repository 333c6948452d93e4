"""Runs work on directories that may hang, with deadlines: callers never wait for a dead drive."""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from common.errors import PlotmanError
from common.model.snapshot import DirState
from common.model.units import human_bytes
from common.system.mounts import Mounts, is_mounted

T = TypeVar("T")

LOOK_DEADLINE_S = 2.0

_FULL_BYTES = 1 << 20  # plotters write blocks of at most that size: a write fails before nothing is left
_MOMENT_S = 0.02  # longer than a round over healthy drives
_KEPT_IDLE = 2  # threads that wait for the next round; others end


class Hanging(PlotmanError):
    """A drive did not answer within the deadline, or earlier work on it is stuck."""


@dataclass(frozen=True, slots=True)
class DirReport:
    """A directory as seen now. None: unknown.

    free_bytes: what a plain user may still write there (f_bavail), without ext4's reserve for root.
    device: "major:minor" of its file system; distinguishes mounted file systems, and does not identify a
        drive later.
    status: the directory's stat.
    """

    state: DirState
    free_bytes: int | None = None
    total_bytes: int | None = None
    device: str | None = None
    status: os.stat_result | None = field(default=None, compare=False, repr=False)


def look(
    path: str | Path, must_be_mounted: bool = False, mounts: Callable[[], Mounts] = Mounts.now
) -> DirReport:
    """Report on a directory in the caller's thread; may hang with its drive. Errors of the drive become
    states.

    Args:
        must_be_mounted: Report NOT_MOUNTED unless it lies on a mounted file system.
        mounts: Gives the mount table; callers with many directories share one.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 - hundreds at a time
        if not stat.S_ISDIR(status.st_mode):
            return DirReport(DirState.MISSING)
        if must_be_mounted and not is_mounted(path, status.st_dev, mounts):
            return DirReport(DirState.NOT_MOUNTED)  # statvfs would report another disk
        figures = os.statvfs(path)
    except OSError as error:
        # A network drive that lost its server fails with ENOTCONN, or ESTALE with NFS.
        lost = error.errno in (errno.ENOTCONN, errno.ESTALE)
        return DirReport(DirState.NOT_MOUNTED if lost else DirState.MISSING)
    writable = not figures.f_flag & os.ST_RDONLY and os.access(path, os.W_OK | os.X_OK)
    return DirReport(
        DirState.OK if writable else DirState.READ_ONLY,
        figures.f_bavail * figures.f_frsize,
        figures.f_blocks * figures.f_frsize,
        f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}",
        status,
    )


def full(path: str) -> str | None:
    """Why nothing can be written to a folder: `full: 0 B are left`; in the caller's thread. None if there is
    room, or it is missing."""
    try:
        figures = os.statvfs(path)
    except OSError:
        return None
    if figures.f_files and not figures.f_favail:
        return "full: no inode is left"
    free_bytes = figures.f_bavail * figures.f_frsize
    return f"full: {human_bytes(free_bytes)} are left" if free_bytes < _FULL_BYTES else None


def unusable(path: str, touched: bool = False) -> str | None:
    """Why nothing can be written to a folder: `is read-only`, or `is ` and the answer of `full`; in the
    caller's thread. None if nothing is known against it.

    Args:
        path: Of the folder.
        touched: Set the folder's time. That hangs with a drive that takes no writes; reads may still be
            answered from memory.
    """
    with suppress(OSError):  # it is missing, or another user's
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            return "is read-only"
        if touched:
            os.utime(path)
    return f"is {found}" if (found := full(path)) else None


class _Lane:
    """Queue of the work at one path. Exists as long as it has work."""

    __slots__ = ("path", "until", "waiting")

    def __init__(self, path: str) -> None:
        self.path = path
        self.waiting: deque[_Round] = deque()
        self.until: float | None = None  # monotonic deadline of the running work

    def stuck(self, now_s: float) -> bool:
        return self.until is not None and self.until < now_s


class _Round:
    """Work requested by one call. open: paths without an answer yet."""

    __slots__ = ("answers", "deadline_s", "func", "open", "over")

    def __init__(self, func: Callable[[str], Any], deadline_s: float) -> None:
        self.func = func
        self.deadline_s = deadline_s
        self.open: dict[str, _Lane] = {}
        self.answers: dict[str, Any] = {}
        self.over = threading.Event()


class _Raised:
    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Probe:
    """Threads that run work at paths, one at a time at each path. A deadline starts with the work: calls that
    wait behind slow work do not fail, calls behind stuck work fail at once.

    If all drives answer quickly, one thread serves path after path. A thread that blocks stays with its path,
    and others take over: while work waits, their number doubles every _MOMENT_S, so that even 200 dead paths
    are all started within eight such intervals.
    """

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._ready: deque[_Lane] = deque()  # lanes with work that nobody does
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._idle = 0
        self._closed = False

    def look(
        self, path: str | Path, deadline_s: float = LOOK_DEADLINE_S, must_be_mounted: bool = False
    ) -> DirReport:
        """Report on a directory; HANGING if it does not answer within deadline_s seconds. Arguments as in
        `look`."""
        return self.look_all([path], deadline_s, must_be_mounted)[str(path)]

    def look_all(
        self, paths: Iterable[str | Path], deadline_s: float = LOOK_DEADLINE_S, must_be_mounted: bool = False
    ) -> dict[str, DirReport]:
        """Report on several directories at the same time, in one deadline. Arguments as in `look`."""
        answers = self.run_all(paths, lambda path: look(path, must_be_mounted), deadline_s)
        return {
            path: DirReport(DirState.HANGING) if isinstance(answer, Hanging) else answer
            for path, answer in answers.items()
        }

    def run(self, path: str | Path, func: Callable[[], T], deadline_s: float) -> T:
        """Run `func` after earlier work at the path; returns its result, or raises what it raises. Work that
        has begun cannot be cancelled: it may complete when the drive answers again.

        Raises:
            Hanging: It takes longer than the deadline, or earlier work is stuck.
        """
        answer = self.run_all([path], lambda _: func(), deadline_s)[str(path)]
        if isinstance(answer, Hanging):
            raise answer
        return answer

    def run_all(
        self, paths: Iterable[str | Path], func: Callable[[str], T], deadline_s: float
    ) -> dict[str, T | Hanging]:
        """Run `func(path)` for each path, all at the same time.

        Args:
            deadline_s: Seconds for each.

        Returns:
            By path the result, or Hanging. Raises what func raised for the first path that raised.
        """
        names = [str(path) for path in paths]
        asked = _Round(func, deadline_s)
        with self._lock:
            now_s = time.monotonic()
            for path in names:
                self._line_up(path, asked, now_s)
            if self._idle:
                self._work.notify()
            elif self._ready:
                self._add_threads(1)
        self._await(asked)
        answers: dict[str, T | Hanging] = {}
        for path in names:
            answer = asked.answers[path]
            if isinstance(answer, _Raised):
                raise answer.error
            answers[path] = answer
        return answers

    def close(self) -> None:
        """End the threads. Stuck ones stay; as daemons they do not block the end of the process."""
        with self._lock:
            self._closed = True
            self._work.notify_all()

    def _line_up(self, path: str, asked: _Round, now_s: float) -> None:
        lane = self._lanes.get(path)
        if lane is None:
            lane = self._lanes[path] = _Lane(path)
            self._ready.append(lane)
        elif lane.stuck(now_s):
            asked.answers[path] = _hanging(path)
            return
        lane.waiting.append(asked)
        asked.open[path] = lane

    def _await(self, asked: _Round) -> None:
        timeout_s, more = _MOMENT_S, 1
        while asked.open and not asked.over.wait(timeout_s):
            with self._lock:
                now_s = time.monotonic()
                for path, lane in list(asked.open.items()):
                    if lane.stuck(now_s):
                        del asked.open[path]
                        asked.answers[path] = _hanging(path)
                timeout_s = _MOMENT_S
                if self._ready:
                    self._add_threads(more)
                    more *= 2
                else:
                    ends_s = [lane.until for lane in asked.open.values() if lane.until is not None]
                    timeout_s = max(_MOMENT_S, min(ends_s, default=now_s) - now_s)

    def _add_threads(self, most: int) -> None:
        for _ in range(min(most, len(self._ready))):
            threading.Thread(target=self._serve, name="probe", daemon=True).start()

    def _serve(self) -> None:
        while taken := self._take():
            lane, asked = taken
            answer: Any
            try:
                answer = asked.func(lane.path)
            except BaseException as error:  # noqa: BLE001 - it is raised again where it was asked for
                answer = _Raised(error)
            self._done(lane, asked, answer)

    def _take(self) -> tuple[_Lane, _Round] | None:
        """Wait for the next work; None: this thread is not needed any more."""
        with self._lock:
            while True:
                while self._ready:
                    lane = self._ready.popleft()
                    while lane.waiting:
                        asked = lane.waiting.popleft()
                        if lane.path in asked.open:  # else the caller has given up
                            lane.until = time.monotonic() + asked.deadline_s
                            return lane, asked
                    del self._lanes[lane.path]
                if self._closed or self._idle >= _KEPT_IDLE:
                    return None
                self._idle += 1
                self._work.wait()
                self._idle -= 1

    def _done(self, lane: _Lane, asked: _Round, answer: Any) -> None:
        with self._lock:
            lane.until = None
            if asked.open.pop(lane.path, None) is not None:
                asked.answers[lane.path] = answer
                if not asked.open:
                    asked.over.set()
            if lane.waiting:
                self._ready.append(lane)
            else:
                del self._lanes[lane.path]


def _hanging(path: str) -> Hanging:
    return Hanging(f"{path} does not answer.", "Check the drive, its cable and dmesg.")
