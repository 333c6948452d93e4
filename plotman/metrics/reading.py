"""The data behind the metrics, read at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field

from common.model.pending import PendingMove, PendingOrder
from common.names import Role, queue
from common.store import Board
from common.store.counts import Counts
from plotman.control.farm import FarmState, read_farm


@dataclass(frozen=True)
class MetricsReading:
    """One reading of the board. queues: messages that wait, by queue. orders, moves: by plotter."""

    farm: FarmState
    queues: dict[str, int] = field(default_factory=dict)
    orders: dict[str, list[PendingOrder]] = field(default_factory=dict)
    moves: dict[str, list[PendingMove]] = field(default_factory=dict)
    counts: Counts = field(default_factory=lambda: Counts({}, {}))


def read(board: Board) -> MetricsReading:
    """Read the board. Raises BrokerError."""
    farm = read_farm(board)
    plotters = list(farm.plotters)
    return MetricsReading(
        farm=farm,
        queues=board.queue_lengths([queue(role, host) for role in Role for host in farm.snapshots[role]]),
        orders=board.orders(plotters),
        moves=board.moves(plotters),
        counts=board.counts(),
    )
