"""The state of the notice board at one moment: the input of each decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from common.model.pending import PendingMove, PendingOrder
from common.model.snapshot import ArchiverSnapshot, HarvesterSnapshot, PlotterSnapshot


@dataclass(frozen=True, slots=True)
class BoardState:
    """Snapshots, pending orders and pending moves, by host.

    plotters, archivers, harvesters: snapshots of live hosts.
    orders, moves: by plotter; a plotter without any may be absent. An order that reaches a snapshot while the
        board is read is in both.
    lost_plotters, lost_harvesters: last snapshots of hosts that no longer renew theirs.
    spoilt: hosts whose keys hold something that no plotman writes, with a sentence that names the keys. What
        could not be read is left out of the others.
    """

    plotters: Mapping[str, PlotterSnapshot] = field(default_factory=dict)
    archivers: Mapping[str, ArchiverSnapshot] = field(default_factory=dict)
    harvesters: Mapping[str, HarvesterSnapshot] = field(default_factory=dict)
    orders: Mapping[str, Sequence[PendingOrder]] = field(default_factory=dict)
    moves: Mapping[str, Sequence[PendingMove]] = field(default_factory=dict)
    lost_plotters: Mapping[str, PlotterSnapshot] = field(default_factory=dict)
    spoilt: Mapping[str, str] = field(default_factory=dict)
    lost_harvesters: Mapping[str, HarvesterSnapshot] = field(default_factory=dict)
