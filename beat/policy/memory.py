"""A cache of results that the next round can use again.

With or without it, a round decides the same, but for how long plotters may delay each other, and for which
admissions are passed on of moves that another beat ordered. Only the numbers in reasons that change with time
may be up to `refresh_s` seconds old.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zlib import crc32

from beat.policy.decision import Start
from beat.policy.moves.admission_dispatch import PassedOn
from beat.policy.moves.same_plot import Contests, Orders
from beat.policy.starts.starts import plan_starts
from common.model.pending import PendingOrder
from common.model.snapshot import PlotterSnapshot, Wait

_REFRESH_S = 1.0
_REFRESH_PER_HOST_S = 0.01  # a thousand hosts are refreshed within 10 s, a few of them each round


@dataclass(frozen=True, slots=True)
class Planned:
    """Starts and waits of one host.

    due_at: end of the first wait that time alone ends, or of the first order; None: nothing changes with
    time.
    """

    starts: tuple[Start, ...]
    waits: tuple[Wait, ...]
    due_at: datetime | None


@dataclass(slots=True)
class _Kept:
    snapshot: PlotterSnapshot
    pending: Sequence[PendingOrder]
    planned: Planned
    good_until: datetime | None


class Memory:
    """The cache of one process that decides round after round.

    start_ordered_at: when the process ordered a start last, or began to decide; None: not known. No plotter
        writes it, so a round depends on it only in how long the reports of plotters may delay others
        (FarmLoad).
    decides_since: when the process began to decide; None: the next round does. From a minute later, moves
        that it did not order, and that no harvester confirms, bind their own plotter only (PlotClaims).
    """

    def __init__(self) -> None:
        self.start_ordered_at: datetime | None = None
        self._kept: dict[str, _Kept] = {}
        # Not a cache: without these, a plot waits longer for another plotter's move that shows no progress.
        self.contests: Contests = {}
        self.orders: Orders = {}
        # Nor is this, which the scheduler writes: each order of a move brings few admissions.
        self.passed: PassedOn = {}
        self.decides_since: datetime | None = None
        self._joined: dict[str, tuple[tuple[Wait, ...], tuple[Wait, ...], tuple[Wait, ...]]] = {}

    def plan(
        self, snapshot: PlotterSnapshot, pending: Sequence[PendingOrder], now: datetime, hosts: int
    ) -> Planned:
        """Return what `plan_starts` returns.

        A snapshot counts as unchanged if it is the same object: comparing two takes as long as planning.

        Args:
            pending: orders sent to the host.
            hosts: number of hosts in the farm; the more there are, the less often each is refreshed.
        """
        kept = self._kept.get(snapshot.host)
        if (
            kept is not None
            and kept.snapshot is snapshot
            and (kept.good_until is None or now < kept.good_until)
            and list(kept.pending) == list(pending)
        ):
            return kept.planned
        starts, waits = plan_starts(snapshot, pending, now)
        ends = [wait.until for wait in waits if wait.until is not None]
        voids = [order.expires_at for order in pending if order.expires_at > now]
        planned = Planned(starts, waits, min([*ends, *voids], default=None))
        good_until = planned.due_at
        if ends and good_until is not None:
            good_until = min(good_until, now + timedelta(seconds=refresh_s(snapshot.host, hosts)))
        if starts:
            good_until = now  # a start becomes an order, which the next round sees
        self._kept[snapshot.host] = _Kept(snapshot, pending, planned, good_until)
        return planned

    def join(self, host: str, of_starts: tuple[Wait, ...], of_plots: tuple[Wait, ...]) -> tuple[Wait, ...]:
        """Join both; returns the same object as last time if nothing changed."""
        known = self._joined.get(host)
        if known is not None and known[0] is of_starts and known[1] == of_plots:
            return known[2]
        if known is not None and known[0] == of_starts and known[1] == of_plots:
            joined = known[2]
        else:
            joined = (*of_starts, *of_plots)
        self._joined[host] = (of_starts, of_plots, joined)
        return joined

    def keep_only(self, hosts: frozenset[str] | set[str]) -> None:
        """Forget all other hosts."""
        for known in (self._kept, self._joined):
            for host in known.keys() - hosts:
                del known[host]


def refresh_s(host: str, hosts: int) -> float:
    """Return the greatest age of a reason's numbers in seconds. Differs by host, so that hosts take turns."""
    return max(_REFRESH_S, _REFRESH_PER_HOST_S * hosts) * (0.5 + crc32(host.encode()) / 2**32)
