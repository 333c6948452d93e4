"""Ends a plot that a person does not want: its processes, and exactly its unfinished files.

The tree is stopped first, then its files are deleted, then it is killed: until its files are gone the plot
counts as running, so that nothing is started beside them, and nobody can take up names that say nothing of
their plot.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from common.errors import OrderRefused
from common.system.probe import LOOK_DEADLINE_S, Hanging, Probe
from plotter_worker.jobs import process_tree
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.reporting.events import PlotterEvents

log = logging.getLogger(__name__)

_probe = Probe()
_SEEN_S = 5.0  # the watcher hears of an end at once


@dataclass(frozen=True)
class OwnFile:
    """An unfinished file of a job. allocated_bytes: what its drive gets back."""

    path: str
    size_bytes: int
    allocated_bytes: int


@dataclass(frozen=True)
class Listing:
    """files: what goes with the job. finished: whole plots of it that still lie in its tmp directories, and
    stay. troubles: directories that could not be looked at, and why."""

    files: tuple[OwnFile, ...] = ()
    finished: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Killed:
    """What became of it. left: files that could not be deleted, and why."""

    freed_bytes: int = 0
    deleted: int = 0
    finished: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def files_of(job: TrackedJob, folders: Iterable[str], running: Sequence[TrackedJob]) -> Listing:
    """The job's unfinished files, in `folders` (those of this host) and in its own directories.

    running: all jobs of this host. Scratch files whose names say nothing of their plot are the job's only
    where no other job of its plotter works in the same directory of this host.
    """
    ours = list(folders)
    own = [folder for folder in (job.tmp, job.tmp2, job.dst) if folder]
    files: list[OwnFile] = []
    finished: list[str] = []
    troubles: list[str] = []
    for folder in dict.fromkeys((*own, *ours)):
        alone = folder in own and folder in ours and not _shared(job, folder, running)
        try:
            here, whole = _probe.run(folder, partial(_look, job, folder, alone), LOOK_DEADLINE_S)
        except FileNotFoundError:
            continue
        except Hanging:
            troubles.append(f"{folder} does not answer")
        except OSError as error:
            troubles.append(f"{folder}: {error.strerror}")
        else:
            files += here
            finished += whole if folder != job.dst else []
    return Listing(tuple(files), tuple(finished), tuple(troubles))


def _shared(job: TrackedJob, folder: str, running: Sequence[TrackedJob]) -> bool:
    return any(
        other is not job
        and other.plotter.name == job.plotter.name
        and folder in (other.tmp, other.tmp2, other.dst)
        for other in running
    )


def _look(job: TrackedJob, folder: str, alone: bool) -> tuple[list[OwnFile], list[str]]:
    """(unfinished files, finished plots) of the job in `folder`. Raises OSError."""
    plot_id = job.progress.plot_id
    names = os.listdir(folder)  # noqa: PTH208  names are all that is needed
    mine = job.plotter.own_files(names, plot_id)
    found = []
    for name in sorted((*mine.certain, *(mine.by_directory if alone else ()))):
        try:
            status = os.lstat(Path(folder, name))
        except OSError:
            continue  # gone since it was listed
        found.append(OwnFile(str(Path(folder, name)), status.st_size, status.st_blocks * 512))
    whole = [
        str(Path(folder, name)) for name in names if plot_id and plot_id in name and name.endswith(".plot")
    ]
    return found, whole


def terminate(
    job: TrackedJob,
    by: str,
    folders: Sequence[str],
    running: Callable[[], Sequence[TrackedJob]],
    news: PlotterEvents,
) -> Killed:
    """End the job, once; told when it is done, and back when its end was seen. A job that ended by itself
    meanwhile keeps its plot, and loses what it left behind. by: who wants it, for people.

    Raises OrderRefused where its processes are not ours to signal, and nothing was done; and where they do
    not end though they were killed.
    """
    with job.killing:
        if job.outcome is not None:
            return Killed()
        job.killed_by = by  # before it ends: its end says nothing of the set-up
        try:
            processes = _stop(job)
        except OrderRefused:
            job.killed_by = None
            raise
        killed = _kill(job, processes, folders, running())
        job.wait_end(_SEEN_S)
        news.killed(job, killed.freed_bytes)
        return killed


def _stop(job: TrackedJob) -> list[psutil.Process]:
    """Its processes, which stand now. Raises OrderRefused where they are not ours to signal."""
    if process_tree.tree(job):
        process_tree.suspend(job)
    return process_tree.tree(job)


def _kill(
    job: TrackedJob,
    processes: Sequence[psutil.Process],
    folders: Iterable[str],
    running: Sequence[TrackedJob],
) -> Killed:
    """Delete its files, then end its processes. Raises OrderRefused where they do not end."""
    listing = files_of(job, folders, running)
    deleted, freed_bytes, left = 0, 0, list(listing.troubles)
    for file in listing.files:
        try:
            os.unlink(file.path)  # noqa: PTH108  hundreds of them
        except FileNotFoundError:
            continue
        except OSError as error:
            left.append(f"{file.path}: {error.strerror}")
        else:
            deleted += 1
            freed_bytes += file.allocated_bytes
    if not process_tree.kill(processes):
        pids = ", ".join(str(process.pid) for process in processes if process.is_running())
        raise OrderRefused(
            f"pid {pids} was killed and does not end: it waits for a drive.",
            "Look at the drives; the plot's files are deleted.",
        )
    return Killed(freed_bytes, deleted, listing.finished, tuple(left))
