"""Looks at directories that may hang. Each path has a thread of its own; nobody waits for a dead drive."""

from __future__ import annotations

import errno
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from common.errors import PlotmanError
from common.mounts import is_mounted
from common.snapshot import DirState

T = TypeVar("T")

LOOK_DEADLINE_S = 2.0


class Hanging(PlotmanError):
    """A drive did not answer within the deadline, or still owes an earlier answer."""


@dataclass(frozen=True, slots=True)
class DirReport:
    """A directory as seen now. None where it could not be told.

    free_bytes: what a plain user may still write there (f_bavail), without what ext4 keeps for root.
    device: "major:minor" of its file system; good for telling directories of one file system from
        others while they are mounted, not for knowing a drive again.
    """

    state: DirState
    free_bytes: int | None = None
    total_bytes: int | None = None
    device: str | None = None


def look(path: str | Path, must_be_mounted: bool = False) -> DirReport:
    """Look at a directory, here and now; may hang with its drive. Errors of the drive become states."""
    try:
        if not Path(path).is_dir():
            return DirReport(DirState.MISSING)
        if must_be_mounted and not is_mounted(path):
            return DirReport(DirState.NOT_MOUNTED)  # the figures would be those of another disk
        device = Path(path).stat().st_dev
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
        f"{os.major(device)}:{os.minor(device)}",
    )


@dataclass(slots=True)
class _Work:
    func: Callable[[], Any]
    deadline_s: float
    answer: Future[Any] = field(default_factory=Future)


class _Lane:
    """The thread of one path, and what waits for it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._until: float | None = None  # monotonic time by which the work at hand should be done
        threading.Thread(target=self._serve, name=f"probe {path}", daemon=True).start()

    def submit(self, work: _Work) -> None:
        self._queue.put(work)

    def stop(self) -> None:
        self._queue.put(None)

    def left_s(self) -> float | None:
        """Seconds that the work at hand still has, negative when it is stuck; None while idle."""
        until = self._until
        return None if until is None else until - time.monotonic()

    def stuck(self) -> bool:
        left_s = self.left_s()
        return left_s is not None and left_s < 0

    def _serve(self) -> None:
        while (work := self._queue.get()) is not None:
            if not work.answer.set_running_or_notify_cancel():
                continue  # whoever asked has given up
            self._until = time.monotonic() + work.deadline_s
            try:
                work.answer.set_result(work.func())
            except BaseException as error:  # noqa: BLE001 - it is raised again where it was asked for
                work.answer.set_exception(error)
            finally:
                self._until = None


class Probe:
    """One daemon thread per path. A deadline counts from when the work begins: those who wait behind
    slow work are not told that the drive hangs, those behind stuck work are told at once.
    """

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._lock = threading.Lock()

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
        """Run `func` in the path's thread and give back what it returns or raise what it raises.

        Raises Hanging when it takes longer than deadline_s seconds, and at once while earlier work is
        stuck. Work that has begun cannot be taken back: it may still be done when the drive comes back.
        """
        return cast("T", self._wait(str(path), self._submit(str(path), func, deadline_s)))

    def run_all(
        self, paths: Iterable[str | Path], func: Callable[[str], T], deadline_s: float
    ) -> dict[str, T | Hanging]:
        """`func(path)` for each path at the same time; Hanging stands for those that did not answer.
        Raises what func raises for the first path that raises.
        """
        asked = {path: self._submit(path, partial(func, path), deadline_s) for path in map(str, paths)}
        answers: dict[str, T | Hanging] = {}
        for path, work in asked.items():
            try:
                answers[path] = cast("T", self._wait(path, work))
            except Hanging as hanging:
                answers[path] = hanging
        return answers

    def close(self) -> None:
        """Let the threads end; those that are stuck stay, and do not keep the process from ending."""
        with self._lock:
            lanes, self._lanes = self._lanes, {}
        for lane in lanes.values():
            lane.stop()

    def _submit(self, path: str, func: Callable[[], Any], deadline_s: float) -> _Work | None:
        """None when the path is stuck already."""
        with self._lock:
            lane = self._lanes.get(path) or _Lane(path)
            self._lanes[path] = lane
        if lane.stuck():
            return None
        work = _Work(func, deadline_s)
        lane.submit(work)
        return work

    def _wait(self, path: str, work: _Work | None) -> Any:
        lane = self._lanes.get(path)
        while work is not None and lane is not None:
            left_s = lane.left_s()
            try:
                # Idle means that the thread is about to take the work up; past its time, that it is stuck.
                return work.answer.result(timeout=0.01 if left_s is None else max(left_s, 0.01))
            except TimeoutError:
                if work.answer.done():
                    raise  # what was run timed out by itself
                if lane.stuck() and (work.answer.cancel() or not work.answer.done()):
                    break
        raise Hanging(f"{path} does not answer.", "Look at its drive and its cable, and at dmesg.")
