"""What runs on a plotter host and what is ordered there, summed up once for all the rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from beat.policy.room import Room, trimmed
from beat.policy.turns import free_turns, is_due
from common.phase import Phase
from common.snapshot import PendingOrder, PlotterSnapshot, TmpDir, age_s

# Phases are compared as pairs here: a thousand hosts have twenty thousand of them.
Pair = tuple[int, int]

# Below every phase: a job whose phase is not known is not past any milestone, and the least advanced.
UNKNOWN: Pair = (-1, -1)
NOT_BEGUN: Pair = (0, 0)


def pair(phase: Phase | None) -> Pair:
    return UNKNOWN if phase is None else (phase.major, phase.minor)


class Load:
    """One host's jobs and orders as the rules see them. Grows with each start that a round decides on.

    An order counts in full as a job from when it was sent until it is seen in the snapshot or void: its
    time has come and gone (`expires_at`), or the host's turn has passed it.

    jobs: how many run or are ordered.
    on_trial: of those that plotman ordered, how many did not yet get as far as plotting.
    youngest_s: age of the youngest in seconds; None where there is none.
    host_now: `now`, corrected where the host's clock is ahead of ours.
    """

    def __init__(self, snapshot: PlotterSnapshot, pending: Sequence[PendingOrder], now: datetime) -> None:
        self.snapshot = snapshot
        self.now = now
        self.host_now = max(now, snapshot.at)
        self.room = Room(snapshot)
        self.jobs = len(snapshot.jobs)
        self.on_trial = 0
        self.youngest_s: float | None = None
        self._in_tmp: dict[str, list[Pair]] = {}
        self._in_some_tmp: list[Pair] = []
        self._to_dst: dict[str, list[Pair]] = {}
        self._count_jobs()
        taken = self._count_orders(pending)
        self.turns: Iterator[str] = free_turns(snapshot.turn, taken)

    def _count_jobs(self) -> None:
        jobs = self.snapshot.jobs
        take = self.room.take
        for job in jobs:
            phase = pair(job.phase)
            if job.tmp is None:
                self._in_some_tmp.append(phase)
            else:
                self._in_tmp.setdefault(trimmed(job.tmp), []).append(phase)
            if job.dst is not None:
                self._to_dst.setdefault(trimmed(job.dst), []).append(phase)
            if job.ours and not job.proven:
                self.on_trial += 1
            take(job.tmp, job.tmp_to_come_bytes)
            take(job.tmp if job.tmp2 is None else job.tmp2, job.tmp2_to_come_bytes)
            take(job.dst, job.dst_to_come_bytes)
        if jobs:
            self.youngest_s = age_s(max(job.started_at for job in jobs), self.host_now)

    def _count_orders(self, pending: Sequence[PendingOrder]) -> list[str]:
        if not pending:
            return []
        seen = {job.task_id for job in self.snapshot.jobs}
        taken = []
        for order in pending:
            if (
                order.task_id not in seen
                and order.expires_at > self.now
                and is_due(order.turn, self.snapshot.turn)
            ):
                taken.append(order.turn)
                self.add(
                    order.tmp, order.dst or self.room.built_in(order.tmp), age_s(order.sent_at, self.now)
                )
        return taken

    def add(self, tmp: str, dst: str, ordered_s: float = 0) -> None:
        """Count one more plot, ordered so many seconds ago."""
        self.jobs += 1
        self.on_trial += 1
        self.youngest_s = ordered_s if self.youngest_s is None else min(self.youngest_s, ordered_s)
        self._in_tmp.setdefault(trimmed(tmp), []).append(NOT_BEGUN)
        self._to_dst.setdefault(trimmed(dst), []).append(NOT_BEGUN)
        self.room.take_plot(tmp, dst)

    def phases_in(self, tmp: TmpDir) -> list[Pair]:
        """Phases of the jobs that use a tmp directory; a job that uses nobody knows which counts in each."""
        known = self._in_tmp.get(trimmed(tmp.path), [])
        return known + self._in_some_tmp if self._in_some_tmp else known

    def phases_to(self, dst: str) -> list[Pair]:
        """Phases of the jobs whose plots will come to a dst directory."""
        return self._to_dst.get(trimmed(dst), [])
