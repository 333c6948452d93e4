"""Jobs and orders of a plotter host, counted once for all rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from beat.policy.start_tokens import free_tokens, is_due
from common.model.disk_usage import DiskUsage
from common.model.pending import PendingOrder
from common.model.phase import NOT_BEGUN
from common.model.snapshot import PlotterSnapshot, age_s

_CLOCK_STEP = timedelta(seconds=60)
_LEAST_S, _MOST_S = 0.001, 10 * 365 * 86_400


class Load:
    """One host's jobs and orders as the rules see them. Grows with each start that a round decides on.

    An order counts as a job from the moment it was sent until the snapshot shows its job or it is void: it
    has expired (`expires_at`), or the host has passed its start token.

    jobs: running and ordered plots.
    ordered: ordered plots that the snapshot does not show yet.
    on_trial: jobs and orders of plotman that have not begun to plot yet.
    youngest_s: seconds since the last start, also of a job that has ended; None if there was none.
    host_now: `now`, or the host's time if its clock is ahead of this machine's.
    start_tokens: tokens of the next orders.
    """

    def __init__(self, snapshot: PlotterSnapshot, pending: Sequence[PendingOrder], now: datetime) -> None:
        self.snapshot = snapshot
        self.now = now
        self.host_now = max(now, snapshot.at)
        self.usage = DiskUsage(snapshot)
        self.jobs = len(snapshot.jobs)
        self.ordered = 0
        self.on_trial = sum([job.ours and not job.proven for job in snapshot.jobs])
        self.youngest_s: float | None = None
        # A start in the host's own future was noted before its clock was set back: when it was is not known.
        starts = [job.started_at for job in snapshot.jobs]
        starts += [] if snapshot.last_start_at is None else [snapshot.last_start_at]
        soon = self.host_now + _CLOCK_STEP
        if past := [at for at in starts if at <= soon]:
            self._count_start(age_s(max(past), self.host_now))
        self.start_tokens = free_tokens(snapshot.start_token, self._count_orders(pending) if pending else ())

    def later(self, rest_s: float) -> datetime:
        """Return `now` plus `rest_s` seconds.

        At least a millisecond, so that the scheduler sleeps; at most ten years, so that a stagger of
        centuries, which means "never", is a valid time.
        """
        return self.now + timedelta(seconds=min(max(rest_s, _LEAST_S), _MOST_S))

    def _count_orders(self, pending: Sequence[PendingOrder]) -> list[str]:
        seen = {job.task_id for job in self.snapshot.jobs}
        current = self.snapshot.start_token
        valid = [
            order
            for order in pending
            if order.task_id not in seen
            and order.expires_at > self.now
            and is_due(order.start_token, current)
        ]
        for order in valid:
            dst = order.dst or self.usage.built_in(order.tmp)
            self.add(order.tmp, dst, age_s(order.sent_at, self.now))
        return [order.start_token for order in valid]

    def _count_start(self, started_s: float) -> None:
        self.youngest_s = started_s if self.youngest_s is None else min(self.youngest_s, started_s)

    def add(self, tmp: str, dst: str, ordered_s: float = 0) -> None:
        """Count one more plot, ordered `ordered_s` seconds ago."""
        self.jobs += 1
        self.ordered += 1
        self.on_trial += 1
        self._count_start(ordered_s)
        self.usage.at(tmp).using.append(NOT_BEGUN)
        self.usage.at(dst).incoming.append(NOT_BEGUN)
        self.usage.take_plot(tmp, dst)
