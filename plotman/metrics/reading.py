"""All that the metrics are made of, read at one moment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from common.model.pending import PendingMove, PendingOrder
from common.names import Role, queue
from common.store import Board
from common.store.counts import Counts
from plotman.control.farm import FarmState, look


@dataclass(frozen=True)
class MetricsReading:
    """queues: messages that wait, by queue. orders, moves: by plotter."""

    farm: FarmState
    queues: dict[str, int] = field(default_factory=dict)
    orders: dict[str, list[PendingOrder]] = field(default_factory=dict)
    moves: dict[str, list[PendingMove]] = field(default_factory=dict)
    counts: Counts = field(default_factory=lambda: Counts({}, {}))

    def alive(self, role: Role, host: str) -> bool:
        """What a silent host last said is no figure of now."""
        return (role, host) not in self.farm.stale


def read(board: Board) -> MetricsReading:
    """Raises BrokerError."""
    farm = look(board)
    hosts: dict[Role, Iterable[str]] = {
        Role.PLOTTER: farm.plotters,
        Role.ARCHIVER: farm.archivers,
        Role.HARVESTER: farm.harvesters,
    }
    plotters = list(farm.plotters)
    return MetricsReading(
        farm=farm,
        queues=board.queue_lengths([queue(role, host) for role in Role for host in hosts[role]]),
        orders=board.orders(plotters),
        moves=board.moves(plotters),
        counts=board.counts(),
    )
