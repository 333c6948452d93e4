"""Watches whether the plotters of a host get on, tells once where one does not, and does what plotman.yaml's
`scheduling.stall_action` says then."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import psutil

from common.config.scheduling import StallAction
from common.errors import OrderRefused
from common.model.snapshot import DirState, RunStatus
from plotter_worker.jobs import process_tree
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.resources import io_of
from plotter_worker.jobs.stall_rules import Kind, Sample, Stall, Standing, Work, follow, verdict
from plotter_worker.processes.table import pid_of

if TYPE_CHECKING:
    from plotter_worker.host.plotter_host import PlotterHost

log = logging.getLogger(__name__)

BY = "scheduling.stall_action"
# A plotter may do nothing for so long before anybody looks at what it started.
_QUIET_S = 60.0
# The same trouble, back within this time, is told once.
_SAME_S = 600.0


class StallWatch:
    """`look` is called by the watcher's thread each time the jobs' figures were read; it never waits."""

    def __init__(self, host: PlotterHost) -> None:
        self._host = host
        self._standing: dict[str, Standing] = {}
        self._told: dict[str, tuple[Kind, float]] = {}  # task -> what, and when it was last seen so
        self._acted: set[str] = set()

    def look(self, jobs: Iterable[TrackedJob]) -> None:
        """Take a sample of each running job, and say and do what follows."""
        running = {job.task_id: job for job in jobs if job.outcome is None and job.record.process is not None}
        for gone in self._standing.keys() - running.keys():
            del self._standing[gone]
            self._told.pop(gone, None)
            self._acted.discard(gone)
        for task_id, job in running.items():
            former = self._standing.get(task_id)
            standing = self._standing[task_id] = follow(former, _sample(job, former))
            stall = verdict(standing, self._limit_s)
            if stall is not None:
                self._stalled(job, stall)
            elif standing.last.suspended and task_id in self._acted:
                continue  # by us: why it is suspended stays to be read
            else:
                job.stall = None
                self._acted.discard(task_id)

    @property
    def _limit_s(self) -> float:
        scheduling = self._host.settings.scheduling
        assert scheduling is not None
        return scheduling.stall_minutes * 60

    @property
    def _action(self) -> StallAction:
        scheduling = self._host.settings.scheduling
        assert scheduling is not None
        return scheduling.stall_action

    def _stalled(self, job: TrackedJob, stall: Stall) -> None:
        text = stall.text
        if stall.kind is Kind.DISK and (folder := self._hanging(job)):
            text += f" ({folder})"
        job.stall = text
        now = time.monotonic()
        kind, seen_s = self._told.get(job.task_id, (None, 0.0))
        self._told[job.task_id] = (stall.kind, now)
        if kind is not stall.kind or now - seen_s > _SAME_S:
            self._host.news.stalled(job, text)
        if stall.overdue and not stall.busy and job.task_id not in self._acted and self._may_act(job, stall):
            self._acted.add(job.task_id)
            # Stopping a tree takes a while, deleting its files longer.
            threading.Thread(target=self._act, args=(job, self._action), name="stall", daemon=True).start()

    def _may_act(self, job: TrackedJob, stall: Stall) -> bool:
        """A person's plotter is left to that person; a plot that is complete, and only waits for room in dst,
        is worth all the waiting; and a process in a hanging drive takes no signal."""
        complete = job.progress.total_s is not None
        return self._action is not StallAction.TELL and (
            job.record.ours and not complete and stall.kind is not Kind.DISK
        )

    def _act(self, job: TrackedJob, action: StallAction) -> None:
        try:
            if action is StallAction.KILL:
                self._host.terminate(job, BY)
            elif process_tree.suspend(job):
                job.stall = f"suspended by {BY}: {job.stall}"
                self._host.news.suspended(job)
                self._host.refresh(job)
        except OrderRefused as error:
            log.error("%s of the stalled plot in %s failed: %s", action, job.tmp, error)

    def _hanging(self, job: TrackedJob) -> str | None:
        """The directory of the job that answers nobody, if one is known."""
        folders = (job.tmp, job.tmp2, job.dst)
        return next((f for f in folders if f and self._host.seen(f).report.state is DirState.HANGING), None)


def _sample(job: TrackedJob, former: Standing | None) -> Sample:
    usage = job.usage
    quiet = former is not None and former.still_s >= _QUIET_S
    return Sample(
        at_s=time.monotonic(),
        own=Work(usage.user_s + usage.sys_s, usage.io_bytes),
        log_bytes=job.offset_bytes,
        suspended=usage.status is RunStatus.STOPPED,
        in_disk=usage.status is RunStatus.DISK,
        words=job.progress.stalled,
        below=_below(job) if quiet else None,
    )


def _below(job: TrackedJob) -> Work | None:
    """Work of what it started; None where it has ended. Dear, and therefore only asked of the quiet."""
    assert job.record.process is not None
    cpu_s, io_bytes = 0.0, 0
    try:
        for child in psutil.Process(pid_of(job.record.process)).children(recursive=True):
            times = child.cpu_times()
            cpu_s += times.user + times.system
            io_bytes += io_of(child) or 0
    except psutil.Error:
        return None
    return Work(cpu_s, io_bytes)
