"""Detect plotters that make no progress, report each once, and act as `scheduling.stall_action` says.

A log alone does not tell: on hard disks a plotter may print one line in half an hour. A plotter is stalled if
log, processor and drives show nothing. If the plotter itself prints that it waits, that counts at once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

import psutil

from common.config.sections.scheduling import Scheduling, StallAction
from common.errors import OrderRefused
from common.model.snapshot import DirState, RunStatus
from common.model.units import human_duration
from plotter_worker.jobs import process_tree
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.resources import io_of
from plotter_worker.processes.table import pid_of
from plotter_worker.reporting.events import PlotterEvents

log = logging.getLogger(__name__)

BY = "scheduling.stall_action"
# Children are sampled, which is expensive, only after the plotter was idle for this long.
_QUIET_S = 60.0
# The same stall, back within this time, is reported once.
_SAME_S = 600.0
# Processor time of an idle program: timers, a Python interpreter's housekeeping.
_IDLE_CPU_S = 0.05
_IDLE_CPU_SHARE = 0.002
# Bytes of an idle program: threads that wake one another through pipes.
_IDLE_IO_BYTES = 64 * 1024
# A plotter that waits with one plot and works on another is busy (madMAx with several).
_BUSY_SHARE = 0.05


class StallKind(StrEnum):
    WAITS = "waits"  # the plotter prints it
    DISK = "disk"  # it is blocked in a drive, and takes no signal
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Work:
    """Work of processes so far. io_bytes: None if the kernel does not show it (another user's)."""

    cpu_s: float = 0.0
    io_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """Figures of a plotter at one moment.

    Attributes:
        at_s: monotonic.
        own: work of the plotter's process.
        log_bytes: read so far.
        suspended: stopped by a signal.
        in_disk: it waits for a drive (state D).
        waits_for: what the plotter prints that it waits for.
        children: work of its child processes; None if not sampled.
    """

    at_s: float
    own: Work
    log_bytes: int = 0
    suspended: bool = False
    in_disk: bool = False
    waits_for: str | None = None
    children: Work | None = None


@dataclass(frozen=True, slots=True)
class Activity:
    """What is kept of a plotter between two samples.

    Attributes:
        last: the newest sample.
        progressed: the sample that last showed progress.
        waiting: the first sample with the current `waits_for`; None if the plotter prints none.
        disk_since_s: monotonic; None if it does not wait for a drive.
    """

    last: Sample
    progressed: Sample
    waiting: Sample | None = None
    disk_since_s: float | None = None

    @property
    def idle_s(self) -> float:
        """Seconds without progress."""
        return self.last.at_s - self.progressed.at_s


@dataclass(frozen=True, slots=True)
class Stall:
    """overdue: it lasts longer than plotman.yaml allows. busy: the plotter works on another plot
    meanwhile."""

    kind: StallKind
    text: str
    overdue: bool
    busy: bool = False


def updated(former: Activity | None, sample: Sample) -> Activity:
    """Add one sample. Time while a plotter is suspended does not count."""
    if former is None or sample.suspended or _progressed(former.progressed, sample):
        progressed = sample
    elif former.progressed.children is None and sample.children is not None:
        progressed = replace(former.progressed, children=sample.children)
    else:
        progressed = former.progressed
    waiting = former.waiting if former is not None else None
    if sample.waits_for is None:
        waiting = None
    elif waiting is None or sample.suspended:
        waiting = sample
    disk_since_s = None
    if sample.in_disk and progressed is not sample:
        known = former.disk_since_s if former is not None else None
        disk_since_s = sample.at_s if known is None else known
    return Activity(sample, progressed, waiting, disk_since_s)


def _progressed(mark: Sample, sample: Sample) -> bool:
    if sample.log_bytes != mark.log_bytes:
        return True
    elapsed_s = sample.at_s - mark.at_s
    if _worked(mark.own, sample.own, elapsed_s):
        return True
    if mark.children is None or sample.children is None:
        return False
    return _worked(mark.children, sample.children, elapsed_s)


def _worked(mark: Work, now: Work, elapsed_s: float) -> bool:
    if abs(now.cpu_s - mark.cpu_s) > _IDLE_CPU_S + _IDLE_CPU_SHARE * elapsed_s:
        return True
    if mark.io_bytes is None or now.io_bytes is None:
        return False
    return abs(now.io_bytes - mark.io_bytes) >= _IDLE_IO_BYTES


def verdict(activity: Activity, limit_s: float) -> Stall | None:
    """The stall of a plotter; None if it makes progress or is suspended. limit_s: when it is overdue."""
    last = activity.last
    if last.suspended:
        return None
    if activity.waiting is not None and last.waits_for is not None:
        waited_s = last.at_s - activity.waiting.at_s
        worked_s = last.own.cpu_s - activity.waiting.own.cpu_s
        busy = worked_s > _IDLE_CPU_S + _BUSY_SHARE * waited_s
        return Stall(StallKind.WAITS, last.waits_for, waited_s >= limit_s, busy)
    if activity.idle_s < limit_s:
        return None
    idle = human_duration(activity.idle_s)
    if activity.disk_since_s is not None:
        text = f"it hangs in a drive that does not answer, and has done nothing for {idle}"
        return Stall(StallKind.DISK, text, True)
    text = f"no line in its log, no processor time, no disk access for {idle}"
    return Stall(StallKind.SILENT, text, True)


class StallMonitor:
    """Watches the jobs of one plotter host.

    Args:
        policy: `scheduling` of plotman.yaml as it is now; None without plotting.
        directory_state: of a directory, by path, as last seen.
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
