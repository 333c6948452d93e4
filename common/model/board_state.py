"""What the notice board shows at one moment: all that a decision is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from common.model.pending import PendingMove, PendingOrder
from common.model.snapshot import ArchiverSnapshot, HarvesterSnapshot, PlotterSnapshot


@dataclass(frozen=True, slots=True)
class BoardState:
    """Snapshots of live hosts, and what was ordered and is not done; each by host.

    plotters, archivers, harvesters: hosts whose snapshot is still renewed.
    orders, moves: by plotter; a plotter with none may be missing. An order that passes into a snapshot while
        the board is read is in both.
    lost_plotters: last snapshots of plotters that renew theirs no more.
    """

    plotters: Mapping[str, PlotterSnapshot] = field(default_factory=dict)
    archivers: Mapping[str, ArchiverSnapshot] = field(default_factory=dict)
    harvesters: Mapping[str, HarvesterSnapshot] = field(default_factory=dict)
    orders: Mapping[str, Sequence[PendingOrder]] = field(default_factory=dict)
    moves: Mapping[str, Sequence[PendingMove]] = field(default_factory=dict)
    lost_plotters: Mapping[str, PlotterSnapshot] = field(default_factory=dict)
