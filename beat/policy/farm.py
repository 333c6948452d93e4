"""One round of decisions for the whole farm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain

from beat.decisions import Decision, Move, Start
from beat.policy.archiving import plan_moves
from beat.policy.berths import all_berths
from beat.policy.farm_rules import NO_LIMITS, FarmLimits, FarmLoad
from beat.policy.load import Load
from beat.policy.places import Places
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
    limits: FarmLimits = NO_LIMITS,
) -> Decision:
    """What to start and what to move on all plotters, and what everything else waits for.

    All are by host, and of hosts that are alive; a host without orders or moves may be missing there.
    limits: those that hold across all plotters.
    Pure: the same arguments give the same decision. The time it takes grows with the number of hosts; on
    each the jobs are looked at once, not once for each directory.
    """
    starts: list[Start] = []
    ordered: list[Move] = []
    waits: list[Wait] = []
    farm: FarmLoad | None = None
    if limits != NO_LIMITS:
        farm = FarmLoad(limits, (Load(plotters[host], orders.get(host, ()), now) for host in plotters))
    for host in plotters if farm is None else _longest_idle_first(plotters):
        started, waiting = plan_starts(plotters[host], orders.get(host, ()), now, farm)
        starts += started
        waits += waiting
    # Moves of plotters that are gone still take up room at their harvesters.
    berths = all_berths(harvesters, chain.from_iterable(moves.values()), now)
    places = Places(archivers, moves, now)
    for host in _oldest_first(plotters):
        moved, waiting_plots = plan_moves(
            plotters[host],
            archivers.get(host),
            moves.get(host, ()),
            harvesters,
            now,
            berths=berths,
            at_once=plotters[host].moves_at_once,
            places=places,
        )
        ordered += moved
        waits += waiting_plots
    return Decision(tuple(starts), tuple(ordered), tuple(waits))


def _longest_idle_first(plotters: Mapping[str, PlotterSnapshot]) -> list[str]:
    """Where the farm's limits leave one start, it goes to the host that has waited longest for one."""

    def last_start(host: str) -> tuple[float, str]:
        started = [job.started_at for job in plotters[host].jobs]
        if (last := plotters[host].last_start_at) is not None:
            started.append(last)
        return (max(at.timestamp() for at in started) if started else 0.0, host)

    return sorted(plotters, key=last_start)


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
