"""The outcome of one round: what beat sends, and why it sends nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

from common.model.pending import PendingMove
from common.model.snapshot import FinishedPlot, Wait


@dataclass(frozen=True, slots=True)
class Start:
    """Start a plot on `host`.

    tmp2: None if the host configures none.
    dst: directory of the finished plot; the tmp2 or tmp directory if no dst is configured.
    start_token: the only one at which the host accepts this order (beat.policy.start_tokens).
    """

    host: str
    tmp: str
    tmp2: str | None
    dst: str | None
    start_token: str


@dataclass(frozen=True, slots=True)
class Move:
    """Move a finished plot from `host` to one of the harvester's drives.

    attempts: failures in a row so far; the move's record carries them on.
    through_receiver: the plotter sends to the harvester's receiver; False: by a route of its own.
    to_target: the plot goes to the host's archiving target of plotman 0.5.3; `harvester` names the target.
    coming: (folder, bytes) that other plotters still send to that target.
    evacuates: the plot is on a farming drive of `host`, which is evacuated.
    drives: the harvester's only drives that may get it; empty: any.
    """

    host: str
    plot: FinishedPlot
    harvester: str
    attempts: int = 0
    to_target: bool = False
    coming: tuple[tuple[str, int], ...] = ()
    through_receiver: bool = True
    evacuates: bool = False
    drives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AdmissionOrder:
    """Order the harvester to admit a plot that `host` has sent.

    host: the plotter. move: its record on the board, with the delivery for the harvester.
    """

    host: str
    move: PendingMove

    @property
    def evacuates(self) -> bool:
        """Whether the source is on an evacuated drive, by the delivery. The host that releases it checks
        that."""
        reservation = (self.move.delivery or {}).get("reservation")
        return isinstance(reservation, dict) and reservation.get("evacuates") is True


@dataclass(frozen=True, slots=True)
class Decision:
    """What to send now, and why everything else waits.

    waits_of: by host; only hosts for which something waits.
    due_at: end of the first wait that time alone ends; None if there is none.
    stale_moves: (host, path) of records to delete from the board (beat.policy.moves.stale_moves).
    """

    starts: tuple[Start, ...] = ()
    moves: tuple[Move, ...] = ()
    waits_of: Mapping[str, tuple[Wait, ...]] = field(default_factory=dict)
    due_at: datetime | None = None
    admissions: tuple[AdmissionOrder, ...] = ()
    stale_moves: tuple[tuple[str, str], ...] = ()

    @property
    def waits(self) -> tuple[Wait, ...]:
        """The waits of all hosts."""
        return tuple(chain.from_iterable(self.waits_of.values()))


def cannot_be_evaluated(host: str, error: Exception) -> Wait:
    """Return the wait of a host whose values no rule foresees. A newer release may write
    such values; they must not stop the decisions for other hosts."""
    reason = f"its snapshot cannot be evaluated: {type(error).__name__}: {error}"
    return Wait(host=host, rule="trouble", reason=reason)
