"""One round of decisions for the whole farm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain

from beat.decisions import Decision, Move, Start
from beat.policy.archiving import plan_moves
from beat.policy.berths import all_berths
from beat.policy.plotting import plan_starts
from common.pending import PendingMove, PendingOrder
from common.snapshot import ArchiverSnapshot, HarvesterSnapshot, PlotState, PlotterSnapshot, Wait


def decide(
    plotters: Mapping[str, PlotterSnapshot],
    archivers: Mapping[str, ArchiverSnapshot],
    harvesters: Mapping[str, HarvesterSnapshot],
    orders: Mapping[str, Sequence[PendingOrder]],
    moves: Mapping[str, Sequence[PendingMove]],
    now: datetime,
) -> Decision:
    """What to start and what to move on all plotters, and what everything else waits for.

    All are by host, and of hosts that are alive; a host without orders or moves may be missing there.
    Pure: the same arguments give the same decision. The time it takes grows with the number of hosts; on
    each the jobs are looked at once, not once for each directory.
    """
    starts: list[Start] = []
    ordered: list[Move] = []
    waits: list[Wait] = []
    for host, snapshot in plotters.items():
        started, waiting = plan_starts(snapshot, orders.get(host, ()), now)
        starts += started
        waits += waiting
    # Moves of plotters that are gone still take up room at their harvesters.
    berths = all_berths(harvesters, chain.from_iterable(moves.values()), now)
    for host in _oldest_first(plotters):
        moved, waiting_plots = plan_moves(
            plotters[host], archivers.get(host), moves.get(host, ()), harvesters, now, berths=berths
        )
        ordered += moved
        waits += waiting_plots
    return Decision(tuple(starts), tuple(ordered), tuple(waits))


def _oldest_first(plotters: Mapping[str, PlotterSnapshot]) -> list[str]:
    """Hosts with plots, the one whose plot is ready for longest first: where drives are scarce, none
    is last for ever."""
    ready_since = {
        host: min(
            (plot.since for plot in snapshot.plots if plot.state is PlotState.READY), default=snapshot.at
        )
        for host, snapshot in plotters.items()
        if snapshot.plots and snapshot.archiving
    }
    return sorted(ready_since, key=lambda host: (ready_since[host], host))
