"""One round of decisions for the whole farm: the entry point of the rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import datetime
from itertools import chain
from typing import TypeVar

from beat.policy.decision import Decision, cannot_be_evaluated
from beat.policy.load import Load
from beat.policy.lost_hosts import still_running
from beat.policy.memory import Memory, Planned
from beat.policy.moves.admission_dispatch import due_admissions, with_admissions_sent
from beat.policy.moves.harvester import harvester_capacities
from beat.policy.moves.same_plot import PlotClaims, believed
from beat.policy.moves.stale_moves import stale_moves
from beat.policy.moves.target import TargetCapacity
from beat.policy.moves.turns import WAITED_MOST_S, draw, plan_moves
from beat.policy.starts.farm_rules import NO_LIMITS, FarmLimits, FarmLoad
from beat.policy.starts.starts import plan_starts
from common.model.board_state import BoardState
from common.model.snapshot import PlotterSnapshot, Wait, age_s

T = TypeVar("T")

_BY_HOST = tuple(each.name for each in fields(BoardState))


def decide(
    board: BoardState, now: datetime, limits: FarmLimits = NO_LIMITS, memory: Memory | None = None
) -> Decision:
    """Decide what starts and what moves in the whole farm, and why everything else waits.

    Pure but for `memory`, which it changes: the same arguments give the same decision. Takes time in
    proportion to the number of hosts; each job is read once, not once for each directory.

    Args:
        limits: across all plotters.
        memory: of this process, from earlier rounds (Memory says what depends on it); None: this is the
            first.
    """
    memory = memory or Memory()
    try:
        return _decide(board, now, limits, memory)
    except Exception:
        # A value that no rule foresees must not stop the decisions for other hosts.
        hosts = sorted(set().union(*(getattr(board, name) for name in _BY_HOST)))
        alone = {host: _trouble(board, host, now, limits) for host in hosts}
        troubles = {host: trouble for host, trouble in alone.items() if trouble is not None}
        if not troubles:
            raise
        return _decide(_without(board, troubles), now, limits, memory)


def _decide(board: BoardState, now: datetime, limits: FarmLimits, memory: Memory) -> Decision:
    memory.keep_only({*board.plotters, *board.spoilt, *board.harvesters})
    planned = _plan_starts(board, now, limits, memory)
    memory.decides_since = min(memory.decides_since or now, now)
    admissions = due_admissions(board, now, memory.orders, memory.passed, memory.decides_since)
    moves = with_admissions_sent(believed(board.moves, board, now), admissions, now)
    claims = PlotClaims(board, moves, now, memory.contests, memory.orders, memory.decides_since)
    ordered, plots_wait = plan_moves(board, moves, claims, now)
    memory.contests, memory.orders = claims.contests, claims.orders
    for host, sentence in board.spoilt.items():
        spoilt = Wait(host=host, rule="trouble", reason=sentence)
        plots_wait[host] = (*plots_wait.get(host, ()), spoilt)
    joined = {
        host: memory.join(host, planned[host].waits if host in planned else (), plots_wait.get(host, ()))
        for host in dict.fromkeys((*board.plotters, *board.spoilt, *plots_wait))
    }
    ends = [plan.due_at for plan in planned.values() if plan.due_at is not None]
    ends += [wait.until for waits in plots_wait.values() for wait in waits if wait.until is not None]
    return Decision(
        starts=tuple(chain.from_iterable(plan.starts for plan in planned.values())),
        moves=tuple(ordered),
        waits_of={host: waits for host, waits in joined.items() if waits},
        due_at=min(ends, default=None),
        admissions=admissions,
        stale_moves=stale_moves(board.plotters, moves, now, board.lost_plotters),
    )


def _plan_starts(board: BoardState, now: datetime, limits: FarmLimits, memory: Memory) -> dict[str, Planned]:
    """Plan each host's starts.

    With limits across hosts, each start changes what the other hosts may do, so nothing is remembered: a
    round over a thousand hosts then takes a tenth of a second.
    """
    plotters, orders, lost = board.plotters, board.orders, board.lost_plotters
    if limits == NO_LIMITS:

        def remembered(snapshot: PlotterSnapshot) -> Planned:
            return memory.plan(snapshot, orders.get(snapshot.host, ()), now, len(plotters))

        return {host: _tried(remembered, snapshot, _no_start) for host, snapshot in plotters.items()}
    farm = FarmLoad(
        limits,
        (Load(snapshot, orders.get(host, ()), now) for host, snapshot in plotters.items()),
        (Load(still_running(last, now), orders.get(host, ()), now) for host, last in lost.items()),
        ordered_s=None if memory.start_ordered_at is None else age_s(memory.start_ordered_at, now),
    )

    def planned(snapshot: PlotterSnapshot) -> Planned:
        starts, waits = plan_starts(snapshot, orders.get(snapshot.host, ()), now, farm)
        ends = [wait.until for wait in waits if wait.until is not None]
        return Planned(starts, waits, min(ends, default=None))

    return {host: _tried(planned, plotters[host], _no_start) for host in _longest_idle_first(plotters, now)}


def _tried(
    plan: Callable[[PlotterSnapshot], T], snapshot: PlotterSnapshot, instead: Callable[[Wait], T]
) -> T:
    """Plan one host."""
    try:
        return plan(snapshot)
    except Exception as error:  # noqa: BLE001
        return instead(cannot_be_evaluated(snapshot.host, error))


def _trouble(board: BoardState, host: str, now: datetime, limits: FarmLimits) -> str | None:
    """Why this host, as the only one of the farm, cannot be decided on; None: it can."""
    alone = replace(board, **{name: _only(getattr(board, name), host) for name in _BY_HOST})
    try:
        _decide(alone, now, limits, Memory())
        # Left out above if no plot waits.
        harvester_capacities(alone.harvesters, alone.moves, now)
        TargetCapacity(alone.archivers, alone.moves, now)
    except Exception as error:  # noqa: BLE001
        return f"it cannot be evaluated, and is left out: {type(error).__name__}: {error}"
    return None


def _only(values: Mapping[str, T], host: str) -> dict[str, T]:
    return {host: values[host]} if host in values else {}


def _without(board: BoardState, troubles: Mapping[str, str]) -> BoardState:
    """Leave hosts out, and give the reasons as what spoils them."""
    kept = {
        name: {host: value for host, value in getattr(board, name).items() if host not in troubles}
        for name in _BY_HOST
    }
    return replace(board, **kept | {"spoilt": {**kept["spoilt"], **troubles}})


def _no_start(wait: Wait) -> Planned:
    return Planned((), (wait,), None)


def _longest_idle_first(plotters: Mapping[str, PlotterSnapshot], now: datetime) -> list[str]:
    """Sort hosts by their last start: if the farm's limits allow one start, the longest idle host gets it.

    The last start is the host's own claim, so an hour counts as much as a year."""

    def last_start(host: str) -> tuple[float, int]:
        started = [job.started_at for job in plotters[host].jobs]
        if (last := plotters[host].last_start_at) is not None:
            started.append(last)
        idle_s = age_s(max(started), now) if started else WAITED_MOST_S
        return -min(idle_s, WAITED_MOST_S), draw(host, now)

    return sorted(plotters, key=last_start)
