"""Tasks by which an operator inspects, suspends, resumes or kills one running plot. Each takes `plot`: the
start of its id, or another selector (common.model.plot_name)."""

from __future__ import annotations

import logging
import re
import sqlite3
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
from celery import Task

from common import names
from common.errors import ManyPlots, NoSuchPlot, OrderRefused
from common.history.recorder import history_path
from common.history.rows import HistoryKind, PlotEnd, Row
from common.history.store import reading
from common.model.messages import Count, OneLine, Seconds, SizeBytes
from common.model.plot_name import fits
from common.model.snapshot import RunStatus
from common.names import Role
from common.worker.pool import stop_event
from common.worker.task import task
from plotter_worker.host.kill import JobFiles, files_of
from plotter_worker.host.plotter_host import PlotterHost
from plotter_worker.jobs import log_reader, process_tree
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.processes.table import pid_of
from plotter_worker.service import current

log = logging.getLogger(__name__)

_recent_logs = log_reader.RecentLogs()
_ENDS_SEARCHED = 200  # rows of the history, the newest
_TASK_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _selected(plotter: PlotterHost, selector: str) -> TrackedJob:
    """The only running plot that the selector names. Raises NoSuchPlot, ManyPlots."""
    found = _matches(plotter, selector)
    if len(found) == 1:
        return found[0]
    if found:
        raise ManyPlots(
            f"{selector} names {len(found)} plots of {plotter.name}: {', '.join(map(_name, found))}.",
            "Give more of the id.",
        )
    raise NoSuchPlot(
        _ended(plotter, selector) or f"No plot {selector} is being made on {plotter.name}.",
        "`plotman status` shows the plots that run, `plotman history` those that have ended.",
    )


def _ended(plotter: PlotterHost, selector: str) -> str | None:
    """How the latest plot ended that the selector names, by the history; None if that has none."""
    rows: list[Row] = []
    with suppress(sqlite3.Error, OSError), reading(_history_of(plotter)) as file:
        rows = file.page(HistoryKind.PLOTS, _ENDS_SEARCHED) if file else []
    for row in rows:
        if isinstance(row, PlotEnd) and fits(selector, plotter.name, 0, row.task_id, row.plot_id):
            name = f"Plot {row.plot_id[:8]}" if row.plot_id else "The plot"
            why = f" ({row.reason.rstrip('.')})" if row.reason else ""
            return f"{name} on {plotter.name} has ended: {row.end.value}{why}."
    # Only a program names a task by its whole id: it has just seen it run.
    return f"The plot on {plotter.name} is no longer running." if _TASK_ID.fullmatch(selector) else None


def _history_of(plotter: PlotterHost) -> Path:
    return history_path(plotter.settings.state_dir, Role.PLOTTER)


def _matches(plotter: PlotterHost, selector: str) -> list[TrackedJob]:
    return [
        job
        for job in plotter.jobs.running()
        if fits(selector, plotter.name, _pid(job), job.task_id, job.progress.plot_id)
    ]


def _files_of(plotter: PlotterHost, job: TrackedJob) -> JobFiles:
    return files_of(job, plotter.directories.paths(), plotter.jobs.running())


@task(names.DETAILS)
def details(host: OneLine, plot: OneLine) -> dict[str, Any]:
    """Everything about a running plot: the keys of a job in `status --json`, and `argv`, `user`,
    `accepted_at`, `processes` (pid, name, status), `files` (number), `files_bytes`, `troubles`."""
    plotter = current(host)
    job = _selected(plotter, plot)
    plotter.refresh(job)
    listing = _files_of(plotter, job)
    processes = process_tree.tree(job)
    return {
        "host": host,
        **plotter.snapshot_of(job).model_dump(mode="json"),
        "argv": list(job.record.argv),
        "accepted_at": job.record.accepted_at.isoformat(),
        "user": _user(processes),
        "processes": [_process(process) for process in processes],
        "files": len(listing.files),
        "files_bytes": sum(file.allocated_bytes for file in listing.files),
        "troubles": list(listing.troubles),
    }


@task(names.FILES)
def files(host: OneLine, plot: OneLine) -> dict[str, Any]:
    """List the files of a running plot.

    Returns:
        `files` (path, size_bytes and allocated_bytes of each unfinished file, which a kill deletes),
        `finished` (finished plots, which stay) and `troubles` (directories that could not be listed).
    """
    plotter = current(host)
    job = _selected(plotter, plot)
    listing = _files_of(plotter, job)
    return {"host": host, **_identity(job), "ours": job.record.ours, **asdict(listing)}


@task(names.KILL)
def kill(host: OneLine, plot: OneLine) -> dict[str, Any]:
    """End all processes of a plot, and delete its unfinished files in tmp, tmp2 and dst. The plot's task
    becomes REVOKED, as by Flower's Terminate.

    Returns:
        `freed_bytes`, `deleted` (number of files), `finished` (plots that stay) and `left` (files that could
        not be deleted).
    """
    plotter = current(host)
    job = _selected(plotter, plot)
    identity = _identity(job)  # a later plot of the same job has another id
    killed = plotter.terminate(job)
    return {"host": host, **identity, **asdict(killed)}


@task(names.SUSPEND)
def suspend(host: OneLine, plot: OneLine) -> dict[str, Any]:
    """Stop the plot's processes until they are resumed. They keep their memory and files."""
    plotter = current(host)
    job = _selected(plotter, plot)
    stopped = process_tree.suspend(job)
    plotter.refresh(job)
    plotter.events.suspended(job)
    if not stopped:
        raise OrderRefused(
            f"pid {_pid(job)} got the signal to stop, and waits for a drive.",
            "It stops when the drive answers.",
        )
    return {"host": host, **_identity(job), "status": RunStatus.STOPPED.value}


@task(names.RESUME)
def resume(host: OneLine, plot: OneLine) -> dict[str, Any]:
    """Continue a suspended plot; `was_suspended` of the answer is False if it was running."""
    plotter = current(host)
    job = _selected(plotter, plot)
    plotter.refresh(job)
    was_suspended = job.usage.status is RunStatus.STOPPED
    process_tree.resume(job)  # in any case: some of its processes may be stopped
    plotter.refresh(job)
    if was_suspended:
        plotter.events.resumed(job)
    status = job.usage.status.value
    return {"host": host, **_identity(job), "status": status, "was_suspended": was_suspended}


# resultrepr_maxsize: the result would be in the worker's own log
@task(names.LOG, bind=True, resultrepr_maxsize=80)
def read_log(
    self: Task,
    host: OneLine,
    plot: OneLine,
    offset_bytes: SizeBytes | None = None,
    lines: Count | None = None,
    wait_s: Seconds = 0,
) -> dict[str, Any]:
    """Read the next chunk of a plot's log, also of an ended plot while its log is in logging.plots.

    Args:
        offset_bytes: where to read from; None: from the start.
        lines: read at most this number of lines, the last ones; None: all.
        wait_s: how long to wait for new lines if there are none, 30 s at most.

    Returns:
        `text`, `offset_bytes` (of the next chunk), `ended` (the log is complete and read), `plot_id`, `log`,
        `skipped_bytes` (between the given `offset_bytes` and `text`, because of `lines`).
    """
    plotter = current(host)
    job = _selected(plotter, plot) if _matches(plotter, plot) else None
    try:
        if job is not None:
            path, plot_id = log_reader.log_of(job), job.progress.plot_id
            _recent_logs.remember(job, path)
        else:
            plot_id, path = _ended_log(plotter, plot)
        wanted = start = offset_bytes or 0
        if lines is not None:
            start = max(wanted, log_reader.start_of_last_lines(path, lines))
        chunk = log_reader.read(path, start, job, wait_s, stop_event(self.request.id))
    except OSError as error:
        raise OrderRefused(
            f"The log of {plot} cannot be read on {host}: {error.strerror}.", "Check logging.plots there."
        ) from error
    skipped_bytes = 0 if offset_bytes is None else start - wanted
    return {
        "host": host,
        "plot_id": plot_id,
        "log": str(path),
        "skipped_bytes": skipped_bytes,
        **asdict(chunk),
    }


def _ended_log(plotter: PlotterHost, selector: str) -> tuple[str, Path]:
    """(plot id, log) of an ended plot. Raises NoSuchPlot, ManyPlots, OSError."""
    if known := _recent_logs.get(selector):
        return selector, known
    folder = plotter.settings.plots_log_dir
    found = log_reader.find_ended(selector.lower(), folder) if _is_hex(selector) else []
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(plot_id[:16] for plot_id, _ in found[:10])
        raise ManyPlots(
            f"{selector} names {len(found)} plots with logs on {plotter.name}: {ids}.", "Give more of the id."
        )
    raise NoSuchPlot(f"{plotter.name} has no log of a plot {selector}.", f"Logs of ended plots: {folder}.")


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
