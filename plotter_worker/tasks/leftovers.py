"""The tasks behind `plotman cleanup`."""

from __future__ import annotations

import time
from typing import Any

from common.errors import OrderRefused
from common.model.messages import CleanupOrder, OneLine, Seconds
from common.names import CLEANUP, LEFTOVERS
from common.worker.task import task
from plotter_worker.host.plotter_host import PlotterHost
from plotter_worker.leftovers.delete import Wanted, delete
from plotter_worker.leftovers.evidence import Watched, gather, list_scratch
from plotter_worker.leftovers.rules import QUIET_S, Evidence, File, scratch_of, sort
from plotter_worker.processes.table import pid_of
from plotter_worker.service import current


@task(LEFTOVERS)
def leftovers(host: OneLine, tmp: OneLine | None = None, older_s: Seconds | None = None) -> dict[str, Any]:
    """List unfinished files on `host` of plots that no plotter works on. Deletes nothing.

    Args:
        tmp: only in this tmp, tmp2 or dst directory.
        older_s: unchanged for this long; at least 300, the default.

    Returns:
        `leftovers` (path, folder, inode, mtime_ns, size_bytes, allocated_bytes, owner, plot_id, program,
        age_s), `kept` (the same with the `reason`) and `troubles` (directories that do not answer).
    """
    plotter = current(host)
    folders = _folders(plotter, tmp)
    evidence = _evidence(plotter)  # before the listing: a plotter that starts in between has no old files
    files, troubles = list_scratch(folders)
    now_s = time.time()
    found, kept = sort(files, evidence, now_s, _quiet_s(older_s))
    return {
        "leftovers": [_as_json(file, now_s) for file in found],
        "kept": [_as_json(entry.file, now_s) | {"reason": entry.reason} for entry in kept],
        "troubles": troubles,
    }


@task(CLEANUP)
def cleanup(order: CleanupOrder) -> dict[str, Any]:
    """Delete exactly these `files` (path, inode, mtime_ns and size_bytes as `leftovers` returned them), each
    only if it is unchanged and still a leftover.

    Returns:
        `deleted` (paths), `freed_bytes`, and `refused` (path, reason).
    """
    plotter = current(order.host)
    report = delete(
        [Wanted(**file.model_dump()) for file in order.files],
        plotter.directories.paths(),
        lambda: _evidence(plotter),
        _quiet_s(order.older_s),
    )
    if report.deleted:
        plotter.events.leftovers_deleted(len(report.deleted), report.freed_bytes)
        plotter.directories.refresh()
    return {
        "deleted": report.deleted,
        "freed_bytes": report.freed_bytes,
        "refused": [{"path": path, "reason": reason} for path, reason in report.refused],
    }


def _folders(plotter: PlotterHost, tmp: str | None) -> list[str]:
    folders = plotter.directories.paths()
    if tmp is None:
        return folders
    chosen = [folder for folder in folders if folder.rstrip("/") == tmp.rstrip("/")]
    if not chosen:
        known = ", ".join(folders)
        raise OrderRefused(f"{tmp} is no tmp or dst directory of {plotter.name}.", f"It has {known}.")
    return chosen


def _evidence(plotter: PlotterHost) -> Evidence:
    """Running plotters, with the plot ids in their logs."""
    jobs: dict[int, Watched] = {}
    for job in plotter.jobs.running():
        progress = job.progress
        plot_ids = (progress.plot_id, *(plot.plot_id for plot in progress.plots_done))
        if job.record.process is not None:
            known = frozenset(plot_id for plot_id in plot_ids if plot_id is not None)
            jobs[pid_of(job.record.process)] = Watched(job.record.plotter, known)
    return gather(jobs)


def _quiet_s(older_s: float | None) -> float:
    return max(QUIET_S, older_s or 0.0)


def _as_json(file: File, now_s: float) -> dict[str, Any]:
    scratch = scratch_of(file.name)
    return {
        "path": file.path,
        "folder": file.folder,
        "inode": file.inode,
        "mtime_ns": file.mtime_ns,
        "size_bytes": file.size_bytes,
        "allocated_bytes": file.allocated_bytes,
        "owner": file.owner,
        "plot_id": scratch.plot_id if scratch else None,
        "program": scratch.program if scratch else None,
        "age_s": round(max(0.0, now_s - file.mtime_s), 1),
    }
