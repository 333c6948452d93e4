"""Which sent plots their harvesters are ordered to admit now.

A plotter does not ask the harvester itself, so its Redis user needs no right to order harvesters. It leaves
the delivery in the move's record; beat, which ordered the move, sends it on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from beat.policy.decision import AdmissionOrder
from common.model.pending import MoveStep, PendingMove
from common.names import MOVE_LIFETIME


def due_admissions(moves: Mapping[str, Sequence[PendingMove]]) -> tuple[AdmissionOrder, ...]:
    """Return deliveries that were not passed on yet, also if their record expired while no beat ran.

    Args:
        moves: records on the board, by plotter.
    """
    return tuple(
        AdmissionOrder(host, move)
        for host, records in moves.items()
        for move in records
        if _is_due(host, move)
    )


def with_admissions_sent(
    moves: Mapping[str, Sequence[PendingMove]], now: datetime
) -> dict[str, tuple[PendingMove, ...]]:
    """Return the records as they are after the due admissions are sent: those moves are under way.

    Args:
        moves: records on the board, by plotter.
        now: when they are sent.
    """
    return {
        host: tuple(sent(move, now) if _is_due(host, move) else move for move in records)
        for host, records in moves.items()
    }


def sent(move: PendingMove, now: datetime) -> PendingMove:
    """Return the record of `move` after its admission is ordered at `now`."""
    return move.model_copy(update={"delivery": None, "expires_at": now + MOVE_LIFETIME})


def _is_due(host: str, move: PendingMove) -> bool:
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
