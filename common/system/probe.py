"""Looks at directories that may hang: nobody waits for a dead drive."""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from common.errors import PlotmanError
from common.model.snapshot import DirState
from common.system.mounts import Mounts, is_mounted

T = TypeVar("T")

LOOK_DEADLINE_S = 2.0

_MOMENT_S = 0.02  # what a healthy round takes, and more
_KEPT_IDLE = 2  # threads that wait for the next round; surplus ones end


class Hanging(PlotmanError):
    """A drive did not answer within the deadline, or still owes an earlier answer."""


@dataclass(frozen=True, slots=True)
class DirReport:
    """A directory as seen now. None where it could not be told.

    free_bytes: what a plain user may still write there (f_bavail), without what ext4 keeps for root.
    device: "major:minor" of its file system; good for telling directories of one file system from
        others while they are mounted, not for knowing a drive again.
    status: the directory's own.
    """

    state: DirState
    free_bytes: int | None = None
    total_bytes: int | None = None
    device: str | None = None
    status: os.stat_result | None = field(default=None, compare=False, repr=False)


def look(
    path: str | Path, must_be_mounted: bool = False, mounts: Callable[[], Mounts] = Mounts.now
) -> DirReport:
    """Look at a directory, here and now; may hang with its drive. Errors of the drive become states.

    mounts: gives what is mounted, where somebody looks at many directories at the same time.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 - hundreds at a time
        if not stat.S_ISDIR(status.st_mode):
            return DirReport(DirState.MISSING)
        if must_be_mounted and not is_mounted(path, status.st_dev, mounts):
            return DirReport(DirState.NOT_MOUNTED)  # the figures would be those of another disk
        figures = os.statvfs(path)
    except OSError as error:
        # A network drive whose server is gone says ENOTCONN; ESTALE is the same with NFS.
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


class _Lane:
    """What is to be done at one path, one after the other. Exists as long as there is something."""

    __slots__ = ("path", "until", "waiting")

    def __init__(self, path: str) -> None:
        self.path = path
        self.waiting: deque[_Round] = deque()
        self.until: float | None = None  # monotonic time by which the work at hand should be done

    def stuck(self, now_s: float) -> bool:
        return self.until is not None and self.until < now_s


class _Round:
    """Work that was asked for at once. open: where it is not done yet."""

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
    """Threads of its own work at the paths, one at a time at each path. A deadline counts from when the work
    begins: those who wait behind slow work are not told that the drive hangs, those behind stuck work are
    told at once.

    Where all answer at once, one thread goes from path to path. One that is held up stays with its path, and
    others take over the rest: while something waits, their number doubles every _MOMENT_S, so that 200 paths
    are all worked at within eight of them, were every one dead.
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
        """Look at a directory; its state is HANGING when it does not answer within the deadline."""
        return self.look_all([path], deadline_s, must_be_mounted)[str(path)]

    def look_all(
        self,
        paths: Iterable[str | Path],
        deadline_s: float = LOOK_DEADLINE_S,
        must_be_mounted: bool = False,
    ) -> dict[str, DirReport]:
        """Look at several directories at the same time; the whole takes one deadline, not their sum."""
        answers = self.run_all(paths, lambda path: look(path, must_be_mounted), deadline_s)
        return {
            path: DirReport(DirState.HANGING) if isinstance(answer, Hanging) else answer
            for path, answer in answers.items()
        }

    def run(self, path: str | Path, func: Callable[[], T], deadline_s: float) -> T:
        """Run `func` when the path's turn has come and give back what it returns or raise what it raises.

        Raises Hanging when it takes longer than deadline_s seconds, and at once while earlier work is
        stuck. Work that has begun cannot be taken back: it may still be done when the drive comes back.
        """
        answer = self.run_all([path], lambda _: func(), deadline_s)[str(path)]
        if isinstance(answer, Hanging):
            raise answer
        return answer

    def run_all(
        self, paths: Iterable[str | Path], func: Callable[[str], T], deadline_s: float
    ) -> dict[str, T | Hanging]:
        """`func(path)` for each path as if at the same time; Hanging stands for those that did not answer.
        Raises what func raises for the first path that raises.
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
        """Let the threads end; those that are stuck stay, and do not keep the process from ending."""
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
        """The next work, waited for; None when this thread is not needed any more."""
        with self._lock:
            while True:
                while self._ready:
                    lane = self._ready.popleft()
                    while lane.waiting:
                        asked = lane.waiting.popleft()
                        if lane.path in asked.open:  # else whoever asked has given up
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
    return Hanging(f"{path} does not answer.", "Look at its drive and its cable, and at dmesg.")
