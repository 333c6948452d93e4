"""One round of decisions for the whole farm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import TypeVar

from beat.policy.decision import Decision, Move
from beat.policy.load import Load
from beat.policy.lost_hosts import still_running
from beat.policy.memory import Memory, Planned
from beat.policy.moves.harvester_capacity import all_berths
from beat.policy.moves.moves import plan_moves
from beat.policy.moves.target_capacity import Places
from beat.policy.starts.farm_rules import NO_LIMITS, FarmLimits, FarmLoad
from beat.policy.starts.starts import plan_starts
from common.model.pending import PendingMove, PendingOrder
from common.model.snapshot import ArchiverSnapshot, HarvesterSnapshot, PlotState, PlotterSnapshot, Wait

T = TypeVar("T")


def decide(
    plotters: Mapping[str, PlotterSnapshot],
    archivers: Mapping[str, ArchiverSnapshot],
    harvesters: Mapping[str, HarvesterSnapshot],
    orders: Mapping[str, Sequence[PendingOrder]],
    moves: Mapping[str, Sequence[PendingMove]],
    now: datetime,
    limits: FarmLimits = NO_LIMITS,
    memory: Memory | None = None,
    silent: Mapping[str, PlotterSnapshot] | None = None,
) -> Decision:
    """What to start and what to move on all plotters, and what everything else waits for.

    All are by host, and of hosts that are alive; a host without orders or moves may be missing there.
    limits: those that hold across all plotters.
    memory: what the last round found out; without one the decision is the same, and takes longer.
    silent: last words of plotters that are not alive, by host. Nothing is decided on them; what may still run
        there counts for `limits`.
    Pure but for it: the same arguments give the same decision. The time it takes grows with the number of
    hosts; on each the jobs are looked at once, not once for each directory.
    """
    memory = memory or Memory()
    memory.keep_only(set(plotters))
    planned = _plan_starts(plotters, orders, now, limits, memory, silent or {})
    ordered, plots_wait = _plan_moves(plotters, archivers, harvesters, moves, now)
    joined = {
        host: memory.join(host, planned[host].waits, tuple(plots_wait.get(host, ()))) for host in plotters
    }
    ends = [plan.due_at for plan in planned.values() if plan.due_at is not None]
    ends += [wait.until for waits in plots_wait.values() for wait in waits if wait.until is not None]
    return Decision(
        starts=tuple(chain.from_iterable(plan.starts for plan in planned.values())),
        moves=tuple(ordered),
        waits_of={host: waits for host, waits in joined.items() if waits},
        due_at=min(ends, default=None),
    )


def _plan_starts(
    plotters: Mapping[str, PlotterSnapshot],
    orders: Mapping[str, Sequence[PendingOrder]],
    now: datetime,
    limits: FarmLimits,
    memory: Memory,
    silent: Mapping[str, PlotterSnapshot],
) -> dict[str, Planned]:
    """By host. What limits across hosts leave changes with each start anywhere, so that nothing is remembered
    then: a round over a thousand hosts takes a tenth of a second."""
    if limits == NO_LIMITS:

        def remembered(snapshot: PlotterSnapshot) -> Planned:
            return memory.plan(snapshot, orders.get(snapshot.host, ()), now, len(plotters))

        return {host: _tried(remembered, snapshot, _no_start) for host, snapshot in plotters.items()}
    farm = FarmLoad(
        limits,
        (Load(snapshot, orders.get(host, ()), now) for host, snapshot in plotters.items()),
        (Load(still_running(last, now), orders.get(host, ()), now) for host, last in silent.items()),
    )

    def planned(snapshot: PlotterSnapshot) -> Planned:
        starts, waits = plan_starts(snapshot, orders.get(snapshot.host, ()), now, farm)
        ends = [wait.until for wait in waits if wait.until is not None]
        return Planned(starts, waits, min(ends, default=None))

    return {host: _tried(planned, plotters[host], _no_start) for host in _longest_idle_first(plotters)}


def _plan_moves(
    plotters: Mapping[str, PlotterSnapshot],
    archivers: Mapping[str, ArchiverSnapshot],
    harvesters: Mapping[str, HarvesterSnapshot],
    moves: Mapping[str, Sequence[PendingMove]],
    now: datetime,
) -> tuple[list[Move], dict[str, tuple[Wait, ...]]]:
    """Moves to order, and by host what its finished plots wait for."""
    with_plots = _oldest_first(plotters)
    if not with_plots:
        return [], {}
    # Moves of plotters that are gone still take up room at their harvesters.
    berths = all_berths(harvesters, chain.from_iterable(moves.values()), now)
    places = Places(archivers, moves, now)
    ordered: list[Move] = []
    waits: dict[str, tuple[Wait, ...]] = {}

    def planned(snapshot: PlotterSnapshot) -> tuple[tuple[Move, ...], tuple[Wait, ...]]:
        return plan_moves(
            snapshot,
            archivers.get(snapshot.host),
            moves.get(snapshot.host, ()),
            harvesters,
            now,
            berths=berths,
            at_once=snapshot.moves_at_once,
            places=places,
        )

    for host in with_plots:
        moved, waits[host] = _tried(planned, plotters[host], lambda wait: ((), (wait,)))
        ordered += moved
    return ordered, waits


def _tried(
    plan: Callable[[PlotterSnapshot], T], snapshot: PlotterSnapshot, instead: Callable[[Wait], T]
) -> T:
    """What is planned for one host. One of which nothing can be made, such as a newer release's with words
    that are not known here, must not keep the others from being decided on."""
    try:
        return plan(snapshot)
    except Exception as error:  # noqa: BLE001
        reason = f"what it tells cannot be decided on: {type(error).__name__}: {error}"
        return instead(Wait(host=snapshot.host, rule="trouble", reason=reason))


def _no_start(wait: Wait) -> Planned:
    return Planned((), (wait,), None)


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
