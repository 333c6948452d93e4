"""Whether a plotter gets any further. Pure: one sample after the other, and a verdict.

A plot may be silent for long: phases on hard disks print a line each half hour. So it stands still only when
neither log nor processor nor drives show anything. What a plotter itself says it waits for counts at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from common.model.units import human_duration

# Processor time that a program takes that does nothing: timers, a Python interpreter's housekeeping.
_IDLE_CPU_S = 0.05
_IDLE_CPU_SHARE = 0.002
# So do threads that wake one another through pipes.
_IDLE_IO_BYTES = 64 * 1024
# A plotter that waits for one plot while it makes another is busy (madMAx with several).
_BUSY_SHARE = 0.05


class StallKind(StrEnum):
    WAITS = "waits"  # the plotter says so itself
    DISK = "disk"  # it hangs in a drive, and nothing can stop or kill it
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Work:
    """What processes have done so far. io_bytes: None where the kernel does not tell (another user's)."""

    cpu_s: float = 0.0
    io_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a plotter.

    at_s: monotonic. log_bytes: read so far. suspended: stopped by somebody. in_disk: it waits for a drive
    (state D). words: the plotter's own for what it endlessly waits for. below: work of its children; None:
    not looked at.
    """

    at_s: float
    own: Work
    log_bytes: int = 0
    suspended: bool = False
    in_disk: bool = False
    words: str | None = None
    below: Work | None = None


@dataclass(frozen=True, slots=True)
class Activity:
    """What is remembered of a plotter between two looks.

    last: the newest sample. moved: the one at which it was last seen to get on. waiting: the first with the
    plotter's words; None: it says nothing. disk_since_s: None while it does not wait for a drive.
    """

    last: Sample
    moved: Sample
    waiting: Sample | None = None
    disk_since_s: float | None = None

    @property
    def still_s(self) -> float:
        """How long it has stood still."""
        return self.last.at_s - self.moved.at_s


@dataclass(frozen=True, slots=True)
class Stall:
    """overdue: it has lasted as long as plotman.yaml allows. busy: meanwhile it works on another plot."""

    kind: StallKind
    text: str
    overdue: bool
    busy: bool = False


def updated(former: Activity | None, sample: Sample) -> Activity:
    """Take one more sample into account. Time while a plotter is suspended never counts."""
    if former is None or sample.suspended or _moved(former.moved, sample):
        moved = sample
    elif former.moved.below is None and sample.below is not None:
        moved = replace(former.moved, below=sample.below)
    else:
        moved = former.moved
    waiting = former.waiting if former is not None else None
    if sample.words is None:
        waiting = None
    elif waiting is None or sample.suspended:
        waiting = sample
    disk_since_s = None
    if sample.in_disk and moved is not sample:
        known = former.disk_since_s if former is not None else None
        disk_since_s = sample.at_s if known is None else known
    return Activity(sample, moved, waiting, disk_since_s)


def _moved(mark: Sample, sample: Sample) -> bool:
    if sample.log_bytes != mark.log_bytes:
        return True
    elapsed_s = sample.at_s - mark.at_s
    if _worked(mark.own, sample.own, elapsed_s):
        return True
    return (
        mark.below is not None and sample.below is not None and _worked(mark.below, sample.below, elapsed_s)
    )


def _worked(mark: Work, now: Work, elapsed_s: float) -> bool:
    if abs(now.cpu_s - mark.cpu_s) > _IDLE_CPU_S + _IDLE_CPU_SHARE * elapsed_s:
        return True
    if mark.io_bytes is None or now.io_bytes is None:
        return False
    return abs(now.io_bytes - mark.io_bytes) >= _IDLE_IO_BYTES


def verdict(standing: Activity, limit_s: float) -> Stall | None:
    """None while it gets on, and while somebody has suspended it. limit_s: how long it may stand still."""
    last = standing.last
    if last.suspended:
        return None
    if standing.waiting is not None and last.words is not None:
        waited_s = last.at_s - standing.waiting.at_s
        worked_s = last.own.cpu_s - standing.waiting.own.cpu_s
        busy = worked_s > _IDLE_CPU_S + _BUSY_SHARE * waited_s
        return Stall(StallKind.WAITS, last.words, waited_s >= limit_s, busy)
    if standing.still_s < limit_s:
        return None
    for_long = human_duration(standing.still_s)
    if standing.disk_since_s is not None:
        return Stall(
            StallKind.DISK,
            f"it hangs in a drive that does not answer, and has done nothing for {for_long}",
            True,
        )
    return Stall(
        StallKind.SILENT, f"no line in its log, no processor time, no disk access for {for_long}", True
    )
