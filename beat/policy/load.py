"""What runs on a plotter host and what is ordered there, summed up once for all the rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from beat.policy.disk_usage import Pair, Room
from beat.policy.start_tokens import free_tokens, is_due
from common.model.pending import PendingOrder
from common.model.phase import Phase
from common.model.snapshot import PlotterSnapshot, age_s

# Below every phase: a job whose phase is not known is not past any milestone, and the least advanced.
UNKNOWN: Pair = (-1, -1)
NOT_BEGUN: Pair = (0, 0)

_LEAST_S, _MOST_S = 0.001, 10 * 365 * 86_400


def pair(phase: Phase | None) -> Pair:
    return UNKNOWN if phase is None else (phase.major, phase.minor)


class Load:
    """One host's jobs and orders as the rules see them. Grows with each start that a round decides on.

    An order counts in full as a job from when it was sent until it is seen in the snapshot or void: its
    time has come and gone (`expires_at`), or the host has passed its start token.

    What is not known where it is counts everywhere: a job without a tmp directory uses each of them,
    bytes without a directory are taken on each file system. A job that uses none says "", not None.

    jobs: how many run or are ordered.
    ordered: how many of those are not seen yet.
    on_trial: of those that plotman ordered, how many did not yet get as far as plotting.
    youngest_s: seconds since the last start, also of a job that has ended; None where there was none.
    host_now: `now`, corrected where the host's clock is ahead of ours.
    start_tokens: of the next orders.
    """

    def __init__(self, snapshot: PlotterSnapshot, pending: Sequence[PendingOrder], now: datetime) -> None:
        self.snapshot = snapshot
        self.now = now
        self.host_now = max(now, snapshot.at)
        self.room = Room(snapshot)
        self.jobs = len(snapshot.jobs)
        self.ordered = 0
        self.on_trial = 0
        self.youngest_s: float | None = None
        if snapshot.jobs:
            self._count_jobs()
        if snapshot.last_start_at is not None:
            self._count_start(age_s(snapshot.last_start_at, self.host_now))
        self.start_tokens = free_tokens(snapshot.turn, self._count_orders(pending) if pending else ())

    def later(self, rest_s: float) -> datetime:
        """When so many seconds are over: later than now, so that whoever sleeps until then does sleep, and a
        time that can be told, were somebody to write a stagger of centuries for "never"."""
        return self.now + timedelta(seconds=min(max(rest_s, _LEAST_S), _MOST_S))

    def _count_jobs(self) -> None:
        at = self.room.at
        jobs = self.snapshot.jobs
        in_some_tmp: list[Pair] = []
        somewhere_bytes = 0
        youngest = jobs[0].started_at
        for job in jobs:
            phase = pair(job.phase)
            tmp, tmp2, dst = job.tmp, job.tmp2, job.dst
            if job.started_at > youngest:
                youngest = job.started_at
            if job.ours and not job.proven:
                self.on_trial += 1
            tmp_bytes = job.tmp_to_come_bytes
            if tmp2 is not None:
                at(tmp2).disk.spoken_bytes += job.tmp2_to_come_bytes
            else:
                tmp_bytes += job.tmp2_to_come_bytes
            if tmp is not None:
                place = at(tmp)
                place.using.append(phase)
                place.disk.spoken_bytes += tmp_bytes
            else:
                in_some_tmp.append(phase)
                somewhere_bytes += tmp_bytes
            if dst is not None:
                place = at(dst)
                place.incoming.append(phase)
                place.disk.spoken_bytes += job.dst_to_come_bytes
            else:
                somewhere_bytes += job.dst_to_come_bytes
        self.youngest_s = age_s(youngest, self.host_now)
        if in_some_tmp or somewhere_bytes:
            self._count_everywhere(in_some_tmp, somewhere_bytes)

    def _count_everywhere(self, in_some_tmp: list[Pair], somewhere_bytes: int) -> None:
        for tmp in self.snapshot.tmp_dirs:
            self.room.at(tmp.path).using.extend(in_some_tmp)
        for disk in self.room.disks.values():
            disk.spoken_bytes += somewhere_bytes

    def _count_orders(self, pending: Sequence[PendingOrder]) -> list[str]:
        seen = {job.task_id for job in self.snapshot.jobs}
        current = self.snapshot.turn
        valid = [
            order
            for order in pending
            if order.task_id not in seen and order.expires_at > self.now and is_due(order.turn, current)
        ]
        for order in valid:
            dst = order.dst or self.room.built_in(order.tmp)
            self.add(order.tmp, dst, age_s(order.sent_at, self.now))
        return [order.turn for order in valid]

    def _count_start(self, started_s: float) -> None:
        self.youngest_s = started_s if self.youngest_s is None else min(self.youngest_s, started_s)

    def add(self, tmp: str, dst: str, ordered_s: float = 0) -> None:
        """Count one more plot, ordered so many seconds ago."""
        self.jobs += 1
        self.ordered += 1
        self.on_trial += 1
        self._count_start(ordered_s)
        self.room.at(tmp).using.append(NOT_BEGUN)
        self.room.at(dst).incoming.append(NOT_BEGUN)
        self.room.take_plot(tmp, dst)
