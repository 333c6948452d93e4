"""Ends a running plot: its processes, and exactly its unfinished files.

The tree is stopped, then its files are deleted, then it is killed. The plot counts as running until its files
are deleted: no other plot starts meanwhile, so that scratch files whose names do not tell their plot are
still its own.
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
from common.model.plot_name import SUFFIXES
from common.system.probe import LOOK_DEADLINE_S, Hanging, Probe
from plotter_worker.jobs import process_tree
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.reporting.events import PlotterEvents

log = logging.getLogger(__name__)

_probe = Probe()
_SEEN_S = 5.0  # the watcher sees an end at once


@dataclass(frozen=True)
class OwnFile:
    """An unfinished file of a job. allocated_bytes: what its deletion frees."""

    path: str
    size_bytes: int
    allocated_bytes: int


@dataclass(frozen=True)
class JobFiles:
    """Files of a job.

    Attributes:
        files: unfinished files, which a kill deletes.
        finished: paths of its finished plots in tmp directories, which a kill leaves.
        troubles: directories that could not be listed, and why.
    """

    files: tuple[OwnFile, ...] = ()
    finished: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Killed:
    """Result of a kill. deleted: number of files. left: files that could not be deleted, and why."""

    freed_bytes: int = 0
    deleted: int = 0
    finished: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def files_of(job: TrackedJob, folders: Iterable[str], running: Sequence[TrackedJob]) -> JobFiles:
    """The job's files.

    Scratch files whose names do not tell their plot count only in a directory of this host in which no other
    job of the same plotter works.

    Args:
        folders: directories of this host; the job's own are searched as well.
        running: all running jobs of this host.
    """
    ours = list(folders)
    own = [folder for folder in (job.tmp, job.tmp2, job.dst) if folder]
    files: list[OwnFile] = []
    finished: list[str] = []
    troubles: list[str] = []
    for folder in dict.fromkeys((*own, *ours)):
        alone = folder in own and folder in ours and not _shared(job, folder, running)
        try:
            here, whole = _probe.run(folder, partial(_list, job, folder, alone), LOOK_DEADLINE_S)
        except FileNotFoundError:
            continue
        except Hanging:
            troubles.append(f"{folder} does not answer")
        except OSError as error:
            troubles.append(f"{folder}: {error.strerror}")
        else:
            files += here
            finished += whole if folder != job.dst else []
    return JobFiles(tuple(files), tuple(finished), tuple(troubles))


def _shared(job: TrackedJob, folder: str, running: Sequence[TrackedJob]) -> bool:
    return any(
        other is not job
        and other.plotter.name == job.plotter.name
        and folder in (other.tmp, other.tmp2, other.dst)
        for other in running
    )


def _list(job: TrackedJob, folder: str, alone: bool) -> tuple[list[OwnFile], list[str]]:
    """(unfinished files, finished plots) of the job in `folder`. Raises OSError.

    alone: no other job of its plotter works there.
    """
    plot_id = job.progress.plot_id
    names = os.listdir(folder)  # noqa: PTH208  names are all that is needed
    mine = job.plotter.own_files(names, plot_id)
    found = []
    for name in sorted((*mine.certain, *(mine.by_directory if alone else ()))):
        try:
            status = os.lstat(Path(folder, name))
        except OSError:
            continue  # deleted since it was listed
        found.append(OwnFile(str(Path(folder, name)), status.st_size, status.st_blocks * 512))
    whole = [
        str(Path(folder, name)) for name in names if plot_id and plot_id in name and name.endswith(SUFFIXES)
    ]
    return found, whole


def terminate(
    job: TrackedJob,
    note_killer: Callable[[bool], None],
    folders: Sequence[str],
    running: Callable[[], Sequence[TrackedJob]],
    events: PlotterEvents,
) -> Killed:
    """End the job once, and wait until the watcher has seen the end.

    A job that ends by itself meanwhile keeps its finished plot and loses its unfinished files.

    Args:
        note_killer: writes into the job's record that it is being killed, or that it is not.
        folders: directories of this host.
        running: returns all running jobs of this host.

    Raises:
        OrderRefused: its processes may not be signalled, and nothing was done; or they do not end.
    """
    with job.kill_lock:
        if job.outcome is not None:
            return Killed()
        note_killer(True)  # before the end, which must not count as the plotter's failure
        try:
            processes = _stop(job)
        except OrderRefused:
            note_killer(False)
            raise
        killed = _kill(job, processes, folders, running())
        job.wait_end(_SEEN_S)
        events.killed(job, killed.freed_bytes)
        return killed


def _stop(job: TrackedJob) -> list[psutil.Process]:
    """Stop the job's processes, and return them. Raises OrderRefused if they may not be signalled."""
    if process_tree.tree(job):
        process_tree.suspend(job)
    return process_tree.tree(job)


def _kill(
    job: TrackedJob,
    processes: Sequence[psutil.Process],
    folders: Iterable[str],
    running: Sequence[TrackedJob],
) -> Killed:
    """Delete the job's files, then end its processes. Raises OrderRefused if they do not end."""
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
            "Check the drives; the plot's files are deleted.",
        )
    return Killed(freed_bytes, deleted, listing.finished, tuple(left))
