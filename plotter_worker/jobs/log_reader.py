"""Reads logs of running and ended plots for operators.

A log is found by its plot, never by a path in a message, so that no other file can be read.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from common.errors import OrderRefused
from common.system.openfile import open_regular
from common.worker.pool import StopEvent
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.plotters.registry import recognise_log
from plotter_worker.processes.table import open_output, pid_of

CHUNK_BYTES = 128 << 10  # of one answer
LONGEST_WAIT_S = 30.0
_HEAD_BYTES = 64 << 10
_WHOLE_BYTES = 64 << 20  # far above any plotter's log
_SEARCH_S = 8.0


@dataclass(frozen=True)
class Chunk:
    """offset_bytes: start of the next chunk. ended: the log is complete and read."""

    text: str
    offset_bytes: int
    ended: bool


class RecentLogs:
    """Paths of the last logs read.

    The log of a plotter started by hand lies outside of the log folder: without this it could not be read to
    its end.
    """

    def __init__(self, most: int = 100) -> None:
        self._most = most
        self._paths: OrderedDict[str, Path] = OrderedDict()

    def remember(self, job: TrackedJob, path: Path) -> None:
        for name in (job.task_id, job.progress.plot_id):
            if name:
                self._paths[name] = path
                self._paths.move_to_end(name)
        while len(self._paths) > self._most:
            self._paths.popitem(last=False)

    def get(self, name: str) -> Path | None:
        """By the whole plot id or task id."""
        return self._paths.get(name)


def log_of(job: TrackedJob) -> Path:
    """The log of a running plot. Raises OrderRefused if it writes none that can be read."""
    process = job.record.process
    if job.record.log is not None:
        if process is not None and (output := open_output(process)) is not None:
            # What the plotter writes to, also where it was deleted or replaced; by its name if it has one,
            # which is there after the plotter's end, too.
            named = output.resolve()
            return named if named.exists() and named.samefile(output) else output
        path = Path(job.record.log)
        if path.is_file():
            return path
    pid = pid_of(process) if process else "?"
    raise OrderRefused(
        f"The {job.plotter.name} plotter pid {pid} has no log: its output goes to no file.",
        "Look at the terminal or program that it was started from.",
    )


def find_ended(prefix: str, folder: Path) -> list[tuple[str, Path]]:
    """(plot id, log) of plots in `folder` whose ids begin with `prefix`, the newest log first.

    Only an id that the plotter printed as the plot's counts, so that a key with the same prefix does not
    match.

    Raises:
        OSError: the folder cannot be listed.
    """
    with os.scandir(folder) as entries:
        logs = [entry for entry in entries if entry.is_file(follow_symlinks=False)]
    logs.sort(key=lambda entry: entry.stat().st_mtime, reverse=True)
    paths = [Path(entry.path) for entry in logs]
    deadline = time.monotonic() + _SEARCH_S
    # The first plot's id is in the first lines; the ids of later plots are further down.
    return _search(paths, prefix, _HEAD_BYTES, deadline) or _search(paths, prefix, _WHOLE_BYTES, deadline)


def _search(paths: list[Path], prefix: str, most_bytes: int, deadline: float) -> list[tuple[str, Path]]:
    found: dict[str, Path] = {}
    for path in paths:
        if time.monotonic() >= deadline:
            break
        try:
            with open_regular(path) as file:
                data = file.read(most_bytes)
        except OSError:
            continue
        if prefix.encode() in data:
            for plot_id in _plots_in(data):
                if plot_id.startswith(prefix):
                    found.setdefault(plot_id, path)
    return list(found.items())


def _plots_in(data: bytes) -> list[str]:
    plotter = recognise_log(data[:_HEAD_BYTES])
    if plotter is None:
        return []
    reader = plotter.reader()
    reader.feed(data)
    progress = reader.progress
    ids = [*(plot.plot_id for plot in progress.plots_done), progress.plot_id]
    return [plot_id for plot_id in ids if plot_id]


def start_of_last_lines(path: Path, lines: int) -> int:
    """Offset in bytes at which the last `lines` lines begin; the end of the file for 0. Raises OSError."""
    with open_regular(path) as file:
        position = end = file.seek(0, os.SEEK_END)
        if lines <= 0:
            return end
        wanted = lines
        while position > 0:
            size = min(CHUNK_BYTES, position)
            file.seek(position - size)
            block = file.read(size)
            at = len(block)
            if position == end and block.endswith(b"\n"):
                at -= 1  # the end of the last line, and not the beginning of another one
            while (at := block.rfind(b"\n", 0, at)) >= 0:
                wanted -= 1
                if wanted == 0:
                    return position - size + at + 1
            position -= size
        return 0


def read(
    path: Path, offset_bytes: int, job: TrackedJob | None, wait_s: float, leaving: StopEvent | None = None
) -> Chunk:
    """Read from `offset_bytes` on, and wait for new lines if there are none. The watcher wakes the wait.

    Args:
        job: the log's; None if it has ended.
        wait_s: 30 s at most.
        leaving: ends the wait.

    Raises:
        OSError: the log cannot be read.
    """
    leaving = leaving or StopEvent()
    if job is not None:
        leaving.on_set(job.changed)
    deadline = time.monotonic() + min(wait_s, LONGEST_WAIT_S)
    seen = -1
    with open_regular(path) as file:  # open over the wait, in which the plotter may end or the log be renamed
        while True:
            over = job is None or job.outcome is not None  # before the read, which then has the last lines
            text, after = _chunk(file, offset_bytes, last=over)
            left_s = deadline - time.monotonic()
            if text or over or left_s <= 0 or leaving.is_set():
                return Chunk(text, after, over and after >= file.seek(0, os.SEEK_END))
            assert job is not None
            seen = job.wait_line(seen, left_s)


def _chunk(file: BinaryIO, offset_bytes: int, last: bool) -> tuple[str, int]:
    """Whole lines from `offset_bytes` on, and where they end.

    Args:
        last: nothing more is written: a last line without its end counts as well.
    """
    if offset_bytes > file.seek(0, os.SEEK_END):
        offset_bytes = 0  # the file was replaced
    file.seek(offset_bytes)
    data = file.read(CHUNK_BYTES)
    whole = data.rfind(b"\n") + 1
    if whole and (not last or len(data) == CHUNK_BYTES):
        data = data[:whole]
    elif not last and len(data) < CHUNK_BYTES:
        return "", offset_bytes
    return data.decode("utf-8", errors="replace"), offset_bytes + len(data)
