"""What beat decides: orders to send, and what everything else waits for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

from beat.policy.moves.admission_dispatch import Passing
from common.model.snapshot import FinishedPlot, Wait


@dataclass(frozen=True, slots=True)
class Start:
    """A plot to be started.

    tmp2: None where the host has none configured.
    dst: where the finished plot will lie; with no dst configured the tmp2 or tmp directory itself.
    turn: of the host at which this start, and no other, is due (see beat.policy.starts.start_tokens).
    """

    host: str
    tmp: str
    tmp2: str | None
    dst: str | None
    turn: str


@dataclass(frozen=True, slots=True)
class Move:
    """A finished plot to be moved from `host` to one of the harvester's drives.

    attempts: failures in a row before this one; to be carried on in the move's record.
    door: whether the plotter comes through the harvester's door; False: by a route that it names itself.
    to_target: it goes to the host's own archiving target of plotman 0.5.3; `harvester` then is its label.
    coming: (folder, bytes) that other plotters still send to that target.
    """

    host: str
    plot: FinishedPlot
    harvester: str
    attempts: int = 0
    to_target: bool = False
    coming: tuple[tuple[str, int], ...] = ()
    door: bool = True


@dataclass(frozen=True, slots=True)
class Decision:
    """One round: what is to be sent now, and why nothing else is.

    waits_of: by host, of hosts for which anything waits.
    due_at: when the first wait is over that time alone cures; None: none is.
    passings: harvesters to be told that a plot is sent.
    settled: (host, path) of moves that leave the notice board, see beat.policy.moves.stale_moves.
    """

    starts: tuple[Start, ...] = ()
    moves: tuple[Move, ...] = ()
    waits_of: Mapping[str, tuple[Wait, ...]] = field(default_factory=dict)
    due_at: datetime | None = None
    passings: tuple[Passing, ...] = ()
    settled: tuple[tuple[str, str], ...] = ()

    @property
    def waits(self) -> tuple[Wait, ...]:
        """All of them."""
        return tuple(chain.from_iterable(self.waits_of.values()))
