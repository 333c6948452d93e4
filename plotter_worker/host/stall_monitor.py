"""Detect plotters that make no progress, report each once, and act as `scheduling.stall_action` says."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable

import psutil

from common.config.sections.scheduling import Scheduling, StallAction
from common.errors import OrderRefused
from common.model.snapshot import DirState, RunStatus
from plotter_worker.jobs import process_tree
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.resources import io_of
from plotter_worker.jobs.stall_rules import Activity, Sample, Stall, StallKind, Work, updated, verdict
from plotter_worker.processes.table import pid_of
from plotter_worker.reporting.events import PlotterEvents

log = logging.getLogger(__name__)

BY = "scheduling.stall_action"
# Children are sampled, which is expensive, only after the plotter was idle for this long.
_QUIET_S = 60.0
# The same stall, back within this time, is reported once.
_SAME_S = 600.0


class StallMonitor:
    """Watches the jobs of one plotter host.

    Args:
        policy: `scheduling` of plotman.yaml as it is now; None without plotting.
        directory_state: of a directory, by path, as last seen.
        events: where stalls are reported.
        kill: ends a job and deletes its unfinished files; takes the job and who asked.
        refresh: reads a job's figures again, after it was suspended.
    """

    def __init__(
        self,
        *,
        policy: Callable[[], Scheduling | None],
        directory_state: Callable[[str], DirState],
        events: PlotterEvents,
        kill: Callable[[TrackedJob, str], object],
        refresh: Callable[[TrackedJob], None],
    ) -> None:
        self._policy_now = policy
        self._directory_state = directory_state
        self._events = events
        self._kill = kill
        self._refresh = refresh
        self._activity: dict[str, Activity] = {}
        self._reported: dict[str, tuple[StallKind, float]] = {}  # task -> what, and when it was last seen so
        self._acted: set[str] = set()

    def sample(self, jobs: Iterable[TrackedJob]) -> None:
        """Sample each running job, report new stalls and act on overdue ones.

        The watcher's thread calls it each time the jobs' figures were read. Never waits.
        """
        running = {job.task_id: job for job in jobs if job.outcome is None and job.record.process is not None}
        for ended in self._activity.keys() - running.keys():
            del self._activity[ended]
            self._reported.pop(ended, None)
            self._acted.discard(ended)
        for task_id, job in running.items():
            former = self._activity.get(task_id)
            activity = self._activity[task_id] = updated(former, _sample(job, former))
            stall = verdict(activity, self._policy.stall_minutes * 60)
            if stall is not None:
                self._stalled(job, stall)
            elif activity.last.suspended and task_id in self._acted:
                continue  # suspended by us: keep the reason readable
            else:
                job.stall = None
                self._acted.discard(task_id)

    @property
    def _policy(self) -> Scheduling:
        scheduling = self._policy_now()
        assert scheduling is not None
        return scheduling

    def _stalled(self, job: TrackedJob, stall: Stall) -> None:
        text = stall.text
        if stall.kind is StallKind.DISK and (folder := self._hanging(job)):
            text += f" ({folder})"
        job.stall = text
        now = time.monotonic()
        kind, seen_s = self._reported.get(job.task_id, (None, 0.0))
        self._reported[job.task_id] = (stall.kind, now)
        if kind is not stall.kind or now - seen_s > _SAME_S:
            self._events.stalled(job, text)
        if stall.overdue and not stall.busy and job.task_id not in self._acted and self._may_act(job, stall):
            self._acted.add(job.task_id)
            # Stopping a tree takes a while, deleting its files longer.
            threading.Thread(
                target=self._act, args=(job, self._policy.stall_action), name="stall", daemon=True
            ).start()

    def _may_act(self, job: TrackedJob, stall: Stall) -> bool:
        """Never act on a plotter that plotman did not start, on a complete plot that only waits for space in
        dst, or on a process blocked in a drive, which takes no signal."""
        complete = job.progress.total_s is not None
        return self._policy.stall_action is not StallAction.TELL and (
            job.record.ours and not complete and stall.kind is not StallKind.DISK
        )

    def _act(self, job: TrackedJob, action: StallAction) -> None:
        try:
            if action is StallAction.KILL:
                self._kill(job, BY)
            elif process_tree.suspend(job):
                job.stall = f"suspended by {BY}: {job.stall}"
                self._events.suspended(job)
                self._refresh(job)
        except OrderRefused as error:
            log.error("%s of the stalled plot in %s failed: %s", action, job.tmp, error)

    def _hanging(self, job: TrackedJob) -> str | None:
        """The directory of the job that does not answer, if one is known."""
        folders = (job.tmp, job.tmp2, job.dst)
        return next((f for f in folders if f and self._directory_state(f) is DirState.HANGING), None)


def _sample(job: TrackedJob, former: Activity | None) -> Sample:
    usage = job.usage
    quiet = former is not None and former.idle_s >= _QUIET_S
    return Sample(
        at_s=time.monotonic(),
        own=Work(usage.user_s + usage.sys_s, usage.io_bytes),
        log_bytes=job.offset_bytes,
        suspended=usage.status is RunStatus.STOPPED,
        in_disk=usage.status is RunStatus.DISK,
        waits_for=job.progress.stalled,
        children=_children(job) if quiet else None,
    )


def _children(job: TrackedJob) -> Work | None:
    """Work of the job's child processes; None if it has ended. Expensive; only called for idle jobs."""
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
