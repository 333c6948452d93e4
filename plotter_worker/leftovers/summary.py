"""Estimates the leftovers of a host for its snapshot, from its directory surveys and its own jobs, without
any disk access. A deletion never depends on it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from common.model.snapshot import Leftovers
from plotter_worker.directories.monitor import DirectorySurvey
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.leftovers.rules import Evidence, File, LivePlotter, sort
from plotter_worker.processes.table import pid_of

if TYPE_CHECKING:
    from plotter_worker.host.plotter_host import PlotterHost

_EVERY_S = 60.0
# The files of a failed job are deleted by its own clean-up, which may take minutes.
_QUIET_S = 900.0


class LeftoversSummary:
    """Not thread-safe."""

    def __init__(self, host: PlotterHost) -> None:
        self._host = host
        self._next_s = 0.0  # monotonic
        self._last: Leftovers | None = None

    def latest(self) -> Leftovers | None:
        """The estimate, at most a minute old; None if there are no leftovers."""
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + _EVERY_S
            surveys = self._host.directories.surveys()
            self._last = summarise(surveys, self._host.jobs.running(), time.time())
        return self._last


def summarise(
    surveys: Mapping[str, DirectorySurvey], jobs: Iterable[TrackedJob], now_s: float
) -> Leftovers | None:
    """Count leftovers; None if there are none.

    Args:
        surveys: Directory -> its last survey.
        now_s: Seconds since the epoch.
    """
    files = [
        File(folder, folder, one.name, 0, one.size_bytes, one.allocated_bytes, one.mtime_ns, 0, "")
        for folder, survey in surveys.items()
        for one in survey.files
    ]
    found, _ = sort(files, Evidence(tuple(_live_plotter(job) for job in jobs)), now_s, _QUIET_S)
    if not found:
        return None
    folders = {file.folder for file in found}
    return Leftovers(bytes=sum(file.allocated_bytes for file in found), files=len(found), dirs=len(folders))


def _live_plotter(job: TrackedJob) -> LivePlotter:
    plot_id = job.progress.plot_id
    used = (job.tmp, job.tmp2, job.dst)
    started_at = job.began_at
    return LivePlotter(
        pid=pid_of(job.record.process) if job.record.process else 0,
        plotter=job.plotter.name,
        user="",
        started_at_s=started_at.timestamp(),
        plot_ids=frozenset({plot_id} if plot_id else ()),
        only_these=plot_id is not None and job.command is not None and job.command.n == 1,
        directory_ids=frozenset(folder for folder in used if folder) if job.tmp is not None else None,
    )
