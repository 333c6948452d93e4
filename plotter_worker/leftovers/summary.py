"""How much is left over, at a glance: from the last looks at the directories and this host's own jobs. It
costs no look of its own, and decides nothing: before anything is deleted, all is looked at closely."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from common.model.snapshot import Leftovers
from plotter_worker.directories.monitor import DirectorySurvey
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.leftovers.rules import Evidence, File, Live, sort
from plotter_worker.processes.table import pid_of

if TYPE_CHECKING:
    from plotter_worker.host.plotter_host import PlotterHost

_EVERY_S = 60.0
# What a failed job leaves is deleted by its own clean-up, which takes a while.
_QUIET_S = 900.0


class LeftoversSummary:
    """Called by one thread at a time."""

    def __init__(self, host: PlotterHost) -> None:
        self._host = host
        self._next_s = 0.0  # monotonic
        self._last: Leftovers | None = None

    def now(self) -> Leftovers | None:
        """As of the last minute; None where nothing is left over."""
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + _EVERY_S
            seen = {folder: self._host.seen(folder) for folder in self._host.folders}
            self._last = glance(seen, self._host.running_jobs(), time.time())
        return self._last


def glance(seen: Mapping[str, DirectorySurvey], jobs: Iterable[TrackedJob], now_s: float) -> Leftovers | None:
    """now_s: seconds since the epoch. None where nothing is left over."""
    files = [
        File(folder, folder, one.name, 0, one.size_bytes, one.allocated_bytes, one.mtime_ns, 0, "")
        for folder, look in seen.items()
        for one in look.files
    ]
    found, _ = sort(files, Evidence(tuple(_live(job) for job in jobs)), now_s, _QUIET_S)
    if not found:
        return None
    folders = {file.folder for file in found}
    return Leftovers(bytes=sum(file.allocated_bytes for file in found), files=len(found), dirs=len(folders))


def _live(job: TrackedJob) -> Live:
    plot_id = job.progress.plot_id
    used = (job.tmp, job.tmp2, job.dst)
    started_at = job.record.began_at
    return Live(
        pid=pid_of(job.record.process) if job.record.process else 0,
        plotter=job.plotter.name,
        user="",
        started_at_s=started_at.timestamp(),
        plot_ids=frozenset({plot_id} if plot_id else ()),
        only_these=plot_id is not None and job.command is not None and job.command.n == 1,
        places=frozenset(folder for folder in used if folder) if job.tmp is not None else None,
    )
