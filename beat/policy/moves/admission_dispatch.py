"""Plots that are sent and not yet taken in: which harvesters are told of them now.

A plotter does not tell the harvester itself: its user of Redis then needs no right to order harvesters. It
leaves what it sent with the move's record, and beat, which ordered the move, passes it on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from common.model.pending import MoveStep, PendingMove
from common.names import MOVE_LIFETIME


@dataclass(frozen=True, slots=True)
class Passing:
    """host: the plotter. move: its record, with the delivery that the harvester is to be told of."""

    host: str
    move: PendingMove


def to_pass_on(moves: Mapping[str, Sequence[PendingMove]]) -> tuple[Passing, ...]:
    """Deliveries that nobody has been told of, also where their record expired while no beat was there."""
    return tuple(
        Passing(host, move) for host, records in moves.items() for move in records if _waits(host, move)
    )


def passed_on(
    moves: Mapping[str, Sequence[PendingMove]], now: datetime
) -> dict[str, tuple[PendingMove, ...]]:
    """The moves as they stand once that is done: whatever is passed on is under way, and not ordered anew."""
    return {
        host: tuple(told(move, now) if _waits(host, move) else move for move in records)
        for host, records in moves.items()
    }


def told(move: PendingMove, now: datetime) -> PendingMove:
    """The record of a move whose harvester is being told at `now`."""
    return move.model_copy(update={"delivery": None, "expires_at": now + MOVE_LIFETIME})


def _waits(host: str, move: PendingMove) -> bool:
    return (
        move.step is MoveStep.ADMIT
        and move.delivery is not None
        and move.retry_at is None
        and dict(_place(move.delivery))
        == {"host": move.harvester, "source_host": host, "path": move.path, "size_bytes": move.size_bytes}
    )


def _place(delivery: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Which plot of whom a delivery speaks of: nobody may have another's plot taken in."""
    reservation = delivery.get("reservation")
    if isinstance(reservation, Mapping):
        for key in ("host", "source_host", "path", "size_bytes"):
            yield key, reservation.get(key)
