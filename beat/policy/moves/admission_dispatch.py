"""Which sent plots their harvesters are ordered to admit now.

A plotter does not ask the harvester itself, so its Redis user needs no right to order harvesters. It leaves
the delivery in the move's record; beat, which ordered the move, sends it on: a few times for each order at
most, so that no plotter keeps the harvesters busy with deliveries that it invents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from beat.policy.decision import AdmissionOrder
from beat.policy.moves.same_plot import LONGEST, Claim, Orders, is_arriving, is_learning
from common.model.board_state import BoardState
from common.model.pending import MoveStep, PendingMove
from common.model.plot_name import plot_id_of
from common.names import MOVE_LIFETIME, MOVES_AT_ONCE_MAX

# A delivery that is on the board again was lost on its way: Redis came back without its last second.
_AGAIN = timedelta(seconds=5)
_TIMES = 3


@dataclass(frozen=True, slots=True)
class Passed:
    """When this beat passed a delivery on last, and how many times since the move was ordered."""

    at: datetime
    times: int = 1


PassedOn = Mapping[Claim, Passed]


def due_admissions(
    board: BoardState, now: datetime, orders: Orders, passed: PassedOn, decides_since: datetime | None
) -> tuple[AdmissionOrder, ...]:
    """Return deliveries that were not passed on yet, also if their record expired while no beat ran.

    A delivery of a move that this beat did not order is passed on if the harvester confirms that the plot
    arrives, or while the beat has just begun; of the latter each plotter has MOVES_AT_ONCE_MAX. Any other
    record expires, and its move is ordered again.

    Args:
        orders: moves that this beat ordered.
        passed: moves whose admission it has passed on, since it decides.
        decides_since: when this beat began to decide.
    """
    learns = is_learning(decides_since, now)
    unknown = Counter(claim.host for claim in passed if claim not in orders)
    due = []
    # A plotter may write one move many times, and one plot at many paths.
    seen: set[Claim] = set()
    plots = {(claim.host, claim.harvester, plot_id_of(claim.path)) for claim in passed}
    for host, records in board.moves.items():
        for move in records:
            if not _is_sent(host, move):
                continue
            claim = Claim(host, move.path, move.harvester)
            if claim in seen:
                continue
            seen.add(claim)
            plot = (host, move.harvester, plot_id_of(move.path))
            ordered_at, last = orders.get(claim), passed.get(claim)
            if last is not None and (ordered_at is None or ordered_at <= last.at) and last.at <= now:
                if last.times >= _TIMES or now - last.at < _AGAIN:
                    continue
            elif ordered_at is None and last is None:
                if plot[2] is not None and plot in plots:
                    continue
                if not is_arriving(board, claim) and (not learns or unknown[host] >= MOVES_AT_ONCE_MAX):
                    continue
                unknown[host] += 1
            plots.add(plot)
            due.append(AdmissionOrder(host, move))
    return tuple(due)


def passed_on(order: AdmissionOrder, now: datetime, orders: Orders, passed: PassedOn) -> PassedOn:
    """Return what this beat has passed on after it sent one more, without the entries of yesterday."""
    claim = Claim(order.host, order.move.path, order.move.harvester)
    last, ordered_at = passed.get(claim), orders.get(claim)
    again = last is not None and (ordered_at is None or ordered_at <= last.at)
    times = last.times + 1 if last is not None and again else 1
    kept = {claim: each for claim, each in passed.items() if abs(now - each.at) <= LONGEST}
    return {**kept, claim: Passed(now, times)}


def with_admissions_sent(
    moves: Mapping[str, Sequence[PendingMove]], due: Sequence[AdmissionOrder], now: datetime
) -> dict[str, Sequence[PendingMove]]:
    """Return the records as they are after the due admissions are sent: those moves are under way.

    Args:
        moves: records on the board, by plotter.
        due: the admissions.
        now: when they are sent.
    """
    hosts = {order.host for order in due}
    due_moves = {(order.host, order.move.path) for order in due}
    return {
        host: tuple(sent(move, now) if (host, move.path) in due_moves else move for move in records)
        if host in hosts
        else records
        for host, records in moves.items()
    }


def sent(move: PendingMove, now: datetime) -> PendingMove:
    """Return the record of `move` after its admission is ordered at `now`."""
    return move.model_copy(update={"delivery": None, "expires_at": now + MOVE_LIFETIME})


def _is_sent(host: str, move: PendingMove) -> bool:
    """Whether the record has a delivery that fits it."""
    return (
        move.step is MoveStep.ADMIT
        and move.delivery is not None
        and move.retry_at is None
        and dict(_identity(move.delivery))
        == {
            "host": move.harvester,
            "source_host": host,
            "path": move.path,
            "size_bytes": move.size_bytes,
            "move": move.move,
        }
    )


def _identity(delivery: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Yield what identifies the plot of a delivery: no plotter may have another plotter's plot admitted."""
    reservation = delivery.get("reservation")
    if isinstance(reservation, Mapping):
        for key in ("host", "source_host", "path", "size_bytes", "move"):
            yield key, reservation.get(key)
