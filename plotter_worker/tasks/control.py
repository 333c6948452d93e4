"""Tasks by which a person looks at one plot and stops, resumes or ends it. Each takes `plot`, the start of
its id or what else common.model.selectors allows, and finds it in what runs on this host."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
from celery import Task, shared_task

from common import names
from common.errors import ManyPlots, NoSuchPlot, OrderRefused
from common.model.selectors import fits
from common.model.snapshot import RunStatus
from common.worker.pool import stop_event
from plotter_worker.host import kill as killing
from plotter_worker.host.plotter_host import PlotterHost
from plotter_worker.jobs import log_reader, process_tree
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.processes.table import pid_of
from plotter_worker.service import current

log = logging.getLogger(__name__)

_asked_logs = log_reader.AskedLogs()


def meant(plotter: PlotterHost, handle: str) -> TrackedJob:
    """The one running plot that `handle` names. Raises NoSuchPlot, ManyPlots."""
    found = _fitting(plotter, handle)
    if len(found) == 1:
        return found[0]
    if found:
        raise ManyPlots(
            f"{handle} names {len(found)} plots of {plotter.name}: {', '.join(map(_name, found))}.",
            "Give more of the id.",
        )
    raise NoSuchPlot(
        f"No plot {handle} is being made on {plotter.name}.", "`plotman status` shows those that are."
    )


def _fitting(plotter: PlotterHost, handle: str) -> list[TrackedJob]:
    return [
        job
        for job in plotter.running_jobs()
        if fits(handle, plotter.name, _pid(job), job.task_id, job.progress.plot_id)
    ]


@shared_task(name=names.DETAILS, throws=(OrderRefused,))
def details(host: str, plot: str) -> dict[str, Any]:
    """All that is known of a plot in the making: the keys of a job in `status --json`, and what its host
    alone knows: `argv`, `user`, `accepted_at`, `processes` (pid, name, status), `files` (how many),
    `files_bytes`, `troubles`."""
    plotter = current(host)
    job = meant(plotter, plot)
    plotter.refresh(job)
    listing = killing.files_of(job, plotter.folders, plotter.running_jobs())
    processes = process_tree.tree(job)
    return {
        "host": host,
        **plotter.notice(job).model_dump(mode="json"),
        "argv": list(job.record.argv),
        "accepted_at": job.record.accepted_at.isoformat(),
        "user": _user(processes),
        "processes": [_process(process) for process in processes],
        "files": len(listing.files),
        "files_bytes": sum(file.allocated_bytes for file in listing.files),
        "troubles": list(listing.troubles),
    }


@shared_task(name=names.FILES, throws=(OrderRefused,))
def files(host: str, plot: str) -> dict[str, Any]:
    """`files`: path, size_bytes and allocated_bytes of each unfinished file; they go with the plot when it
    is killed. `finished`: whole plots of it that stay. `troubles`: directories that could not be looked at.
    """
    plotter = current(host)
    job = meant(plotter, plot)
    listing = killing.files_of(job, plotter.folders, plotter.running_jobs())
    return {"host": host, **_identity(job), "ours": job.record.ours, **asdict(listing)}


@shared_task(name=names.KILL, throws=(OrderRefused,))
def kill(host: str, plot: str) -> dict[str, Any]:
    """End the plot: all its processes, and its unfinished files in tmp, tmp2 and dst. Its own task becomes
    REVOKED, as by Flower's Terminate. Returns freed_bytes, deleted (files), finished (plots that stay) and
    left (files that could not be deleted)."""
    plotter = current(host)
    job = meant(plotter, plot)
    named = _identity(job)  # a later plot of the same job has another id
    killed = plotter.terminate(job)
    return {"host": host, **named, **asdict(killed)}


@shared_task(name=names.SUSPEND, throws=(OrderRefused,))
def suspend(host: str, plot: str) -> dict[str, Any]:
    """Stop the plot's processes where they are, until they are resumed. It keeps its memory and its files."""
    plotter = current(host)
    job = meant(plotter, plot)
    stands = process_tree.suspend(job)
    plotter.refresh(job)
    plotter.news.suspended(job)
    if not stands:
        raise OrderRefused(
            f"pid {_pid(job)} was told to stop, and waits for a drive.", "It stops when the drive answers."
        )
    return {"host": host, **_identity(job), "status": RunStatus.STOPPED.value}


@shared_task(name=names.RESUME, throws=(OrderRefused,))
def resume(host: str, plot: str) -> dict[str, Any]:
    """Let a suspended plot go on."""
    plotter = current(host)
    job = meant(plotter, plot)
    process_tree.resume(job)
    plotter.refresh(job)
    plotter.news.resumed(job)
    return {"host": host, **_identity(job), "status": job.usage.status.value}


# resultrepr_maxsize: it would be in our own log
@shared_task(bind=True, name=names.LOG, throws=(OrderRefused,), resultrepr_maxsize=80)
def read_log(
    self: Task,
    host: str,
    plot: str,
    offset_bytes: int | None = None,
    lines: int | None = None,
    wait_s: float = 0,
) -> dict[str, Any]:
    """A piece of the plot's log: `text`, `offset_bytes` (of the next piece), `ended` (nothing will follow),
    and `plot_id`, `log`. Also of a plot that has ended, while its log is in logging.plots.

    offset_bytes: where to read from; None: from the last `lines` lines on, or from the start. wait_s: how
    long to wait for the next lines where there are none (30 s at most).
    """
    plotter = current(host)
    found = _fitting(plotter, plot)
    job = meant(plotter, plot) if found else None
    try:
        if job is not None:
            path, plot_id = log_reader.log_of(job), job.progress.plot_id
            _asked_logs.remember(job, path)
        else:
            plot_id, path = _ended_log(plotter, plot)
        start = offset_bytes or 0
        if offset_bytes is None and lines is not None:
            start = log_reader.start_of_last_lines(path, lines)
        chunk = log_reader.read(path, max(0, start), job, wait_s, stop_event(self.request.id))
    except OSError as error:
        raise OrderRefused(
            f"The log of {plot} cannot be read on {host}: {error.strerror}.", "Look at logging.plots there."
        ) from error
    return {"host": host, "plot_id": plot_id, "log": str(path), **asdict(chunk)}


def _ended_log(plotter: PlotterHost, handle: str) -> tuple[str, Path]:
    """Raises NoSuchPlot, ManyPlots, OSError."""
    if known := _asked_logs.get(handle):
        return handle, known
    folder = plotter.settings.plots_log_dir
    found = log_reader.find_ended(handle.lower(), folder) if _is_hex(handle) else []
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(plot_id[:16] for plot_id, _ in found[:10])
        raise ManyPlots(
            f"{handle} names {len(found)} plots with logs on {plotter.name}: {ids}.", "Give more of the id."
        )
    raise NoSuchPlot(f"{plotter.name} has no log of a plot {handle}.", f"Logs of ended plots: {folder}.")


def _is_hex(text: str) -> bool:
    return bool(text) and set(text.lower()) <= set("0123456789abcdef")


def _identity(job: TrackedJob) -> dict[str, Any]:
    return {"plot_id": job.progress.plot_id, "task_id": job.task_id, "pid": _pid(job)}


def _name(job: TrackedJob) -> str:
    return (job.progress.plot_id or f"pid {_pid(job)}")[:16]


def _pid(job: TrackedJob) -> int:
    return pid_of(job.record.process) if job.record.process else 0


def _process(process: psutil.Process) -> dict[str, Any]:
    try:
        return {"pid": process.pid, "name": process.name(), "status": process.status()}
    except psutil.Error:
        return {"pid": process.pid, "name": "?", "status": "gone"}


def _user(processes: list[psutil.Process]) -> str | None:
    try:
        return processes[0].username() if processes else None
    except psutil.Error:
        return None
