"""Decides whether a plotter makes progress. Pure: one sample after the other, and a verdict.

A log alone does not tell: on hard disks a plotter may print one line in half an hour. A plotter is stalled if
log, processor and drives show nothing. If the plotter itself prints that it waits, that counts at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from common.model.units import human_duration

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
