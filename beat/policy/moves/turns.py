"""Whose plot moves next, if several plotter hosts want the same drives.

Each host writes its own plots and records of moves, and may claim any number of them. So its claims only cost
the host itself: the more moves it has under way, the later its turn comes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from heapq import heapify, heappop, heappush
from zlib import crc32

from beat.policy.decision import Move, cannot_be_evaluated
from beat.policy.moves.evacuation import plan_evacuations
from beat.policy.moves.harvester import harvester_capacities
from beat.policy.moves.moves import HostMoves
from beat.policy.moves.priority import by_priority
from beat.policy.moves.same_plot import PlotClaims
from beat.policy.moves.target import TargetCapacity
from common.model.board_state import BoardState
from common.model.pending import MoveStep, PendingMove
from common.model.snapshot import PlotState, PlotterSnapshot, Wait, age_s

# A host that has waited for longer has no precedence over another that has, too: the time is its own claim.
WAITED_MOST_S = 3600.0
# For how long hosts that have waited this long keep their order.
_DRAW_S = 60.0

# The less, the earlier: moves under way, 0 for a move that was ordered before this round, place in the draw.
_Turn = tuple[int, int, tuple[float, int], str]


def plan_moves(
    board: BoardState, moves: Mapping[str, Sequence[PendingMove]], claims: PlotClaims, now: datetime
) -> tuple[list[Move], dict[str, tuple[Wait, ...]]]:
    """Plan the moves of all hosts, one for each host before any host gets a second one.

    A host with fewer moves under way comes first. So with space for as many plots as there are hosts, each
    gets a move, whatever one of them claims. Moves that are ordered and have no reservation yet take their
    space in the same turns.

    Args:
        moves: records by plotter, after this round's admissions; also of lost plotters.
        claims: plots on their way or taken in; the ordered moves are added.

    Returns:
        The moves to order, and by host a wait for each finished plot that neither moves nor is ordered to. Of
        an evacuated drive one wait stands for all its plots.
    """
    with_plots = [snapshot for snapshot in board.plotters.values() if snapshot.plots and snapshot.archiving]
    leaving = any(harvester.evacuations for harvester in board.harvesters.values())
    if not with_plots and not leaving:
        return [], {}
    capacities = harvester_capacities(board.harvesters, claims.counted, now)
    targets = TargetCapacity(board.archivers, moves, now)
    waits: dict[str, tuple[Wait, ...]] = {}
    plans: dict[str, HostMoves] = {}
    for snapshot in with_plots:
        host = snapshot.host
        try:
            plots = by_priority(snapshot)
            plans[host] = HostMoves(
                snapshot, plots, snapshot.moves_at_once, board.archivers.get(host), moves.get(host, ()), now
            )
        except Exception as error:  # noqa: BLE001
            waits[host] = (cannot_be_evaluated(host, error),)
    unreserved = {host: found for host, records in claims.counted.items() if (found := _unreserved(records))}
    turns = _first_turns(board.plotters, plans, unreserved, now)
    ordered: list[Move] = []
    while turns:
        count, _, place, host = heappop(turns)
        if claimed := unreserved.get(host):
            move = claimed.pop()
            if move.harvester in capacities:
                capacities[move.harvester].add(move.size_bytes)
        else:
            try:
                planned = plans[host].next_move(capacities, targets, claims)
            except Exception as error:  # noqa: BLE001
                waits[host] = (cannot_be_evaluated(host, error),)
                continue
            if planned is None:
                continue
            ordered.append(planned)
        if unreserved.get(host) or host in plans:
            heappush(turns, (count + 1, int(not unreserved.get(host)), place, host))
    waits |= {host: tuple(plan.waits) for host, plan in plans.items() if host not in waits}
    if leaving:
        evacuated, why = plan_evacuations(board, moves, claims, ordered, now)
        ordered += evacuated
        waits |= {host: (*waits.get(host, ()), *more) for host, more in why.items()}
    return ordered, waits


def _unreserved(records: Sequence[PendingMove]) -> list[PendingMove]:
    return [move for move in records if move.step is MoveStep.RESERVE]


def _first_turns(
    plotters: Mapping[str, PlotterSnapshot],
    plans: Mapping[str, HostMoves],
    unreserved: Mapping[str, Sequence[PendingMove]],
    now: datetime,
) -> list[_Turn]:
    turns = []
    for host in plans.keys() | unreserved.keys():
        claimed = len(unreserved.get(host, ()))
        under_way = len(plans[host].sending) - claimed if host in plans else 0
        may_move = host in plans and not plans[host].full
        place = _place(plotters[host], now) if may_move else (0.0, 0)
        turns.append((max(0, under_way), int(not claimed), place, host))
    heapify(turns)
    return turns


def _place(snapshot: PlotterSnapshot, now: datetime) -> tuple[float, int]:
    """Return the place among hosts with equally many moves: the longest waiting plot comes first."""
    since = min([plot.since for plot in snapshot.plots if plot.state is PlotState.READY], default=now)
    return -min(age_s(since, now), WAITED_MOST_S), draw(snapshot.host, now)


def draw(host: str, now: datetime) -> int:
    """Return the place of a host among those that have waited for WAITED_MOST_S. It changes each minute, so
    that none starves."""
    return crc32(f"{host} {now.timestamp() // _DRAW_S}".encode())
