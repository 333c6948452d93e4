"""Whether a plot goes to its host's archiving target (0.5.3's way, without a harvester), and its space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from beat.policy.decision import Move
from common.model.pending import SENT, MoveStep, PendingMove
from common.model.snapshot import ArchiverSnapshot, FinishedPlot, PlotterSnapshot, TargetReport, Wait
from common.model.targets import MARGIN_BYTES, fitting, label, no_room
from common.names import MOVE_LIFETIME


class TargetCapacity:
    """Moves to the targets of plotman 0.5.3, by place. Changes while a round is planned.

    The archiver chooses the folder of a plot, and its snapshot shows it. Until then, no other plotter sends
    to the same place: both might fill the last space. The same holds if an archiver ends and its script
    continues: the next archiver sees that something is sent, but not where.

    All bytes that are still to be sent are subtracted from the free space, even if rsync has allocated them
    already (--preallocate) and they are subtracted twice: many file systems of a NAS (ZFS, NFS) do not
    reserve allocated bytes, and one plot that waits is better than two on the last space.
    """

    def __init__(
        self,
        archivers: Mapping[str, ArchiverSnapshot],
        moves: Mapping[str, Sequence[PendingMove]],
        now: datetime,
    ) -> None:
        self._coming: dict[str, dict[str, int]] = {}
        # By place and host: description of a transfer whose folder is not known; None: it is being chosen.
        self._unknown: dict[str, dict[str, str | None]] = {}
        for host, archiver in archivers.items():
            if archiver.target is None:
                continue
            place, name = archiver.target.place, label(archiver.target.name)
            coming = self._coming.setdefault(place, {})
            for transfer in archiver.transfers:
                rest_bytes = max(0, transfer.size_bytes - transfer.sent_bytes)
                coming[transfer.drive] = coming.get(transfer.drive, 0) + rest_bytes
            seen = {transfer.path for transfer in archiver.transfers}
            for move in moves.get(host, ()):
                about_to = move.step is MoveStep.TRANSFER and move.harvester == name
                if about_to and move.path not in seen and _may_be_sent(move, now):
                    self._unknown.setdefault(place, {})[host] = None
            if archiver.target.elsewhere is not None:
                self._unknown.setdefault(place, {})[host] = archiver.target.elsewhere

    def coming(self, target: TargetReport) -> Mapping[str, int]:
        """Return by folder the bytes that are still to be written there."""
        return self._coming.get(target.place, {})

    def blocked_by(self, target: TargetReport, host: str) -> str | None:
        """Describe a transfer of another plotter whose folder is not known; None: there is none."""
        for other, transfer in self._unknown.get(target.place, {}).items():
            if other != host:
                name = label(target.name)
                if transfer is None:
                    return f"{other} is choosing a folder of {name} now"
                return f"{transfer} of {other} still sends to an unknown folder of {name}"
        return None

    def add(self, target: TargetReport, host: str) -> None:
        """Count a plot of this host that is ordered there."""
        self._unknown.setdefault(target.place, {})[host] = None


def _may_be_sent(move: PendingMove, now: datetime) -> bool:
    """Whether the move did not fail, and is under way or was until recently.

    Between two archivers, no snapshot shows the script that continues.
    """
    return move.retry_at is None and move.expires_at + MOVE_LIFETIME > now


def target_for(
    archiver: ArchiverSnapshot | None, plot: FinishedPlot, former: PendingMove | None
) -> TargetReport | None:
    """Return the target that a plot would go to; None: a harvester takes it.

    A plot that a harvester may have completely stays with that harvester, even if plotman.yaml names a target
    now: otherwise the plot would be farmed twice.

    Args:
        former: record of the plot's last move.
    """
    if archiver is None or archiver.target is None or plot.copied_to is not None:
        return None
    if former is not None and former.step in SENT:
        return archiver.target if former.harvester.startswith(label("")) else None
    return archiver.target


def to_target(
    snapshot: PlotterSnapshot,
    plot: FinishedPlot,
    target: TargetReport,
    former: PendingMove | None,
    capacity: TargetCapacity,
    attempts: int,
) -> Move | Wait:
    """Return the plot's move, or why it waits.

    Args:
        former: record of the plot's last move.
        capacity: of all targets; the move is added to it.
        attempts: failures in a row so far.
    """

    def wait(rule: str, reason: str, **numbers: float) -> Wait:
        return Wait(host=snapshot.host, rule=rule, reason=reason, subject=plot.path, numbers=numbers)

    if target.elsewhere is not None:
        return wait("moves", f"moves 1/1: {target.elsewhere} still sends to {label(target.name)}")
    if target.trouble is not None:
        return wait("target", target.trouble)
    if target.asked_at is None:
        return wait("target", f"free space of {label(target.name)} is not known yet")
    if (other := capacity.blocked_by(target, snapshot.host)) is not None:
        return wait("moves", other)
    coming = capacity.coming(target)
    # A plot whose move has begun may have an incomplete copy there, whose space counts: the archiver checks.
    begun = former is not None and former.harvester == label(target.name)
    if begun or fitting(target.spaces, plot.size_bytes, coming):
        capacity.add(target, snapshot.host)
        name = label(target.name)
        return Move(snapshot.host, plot, name, attempts, to_target=True, coming=tuple(sorted(coming.items())))
    free_bytes = max((space.free_bytes - coming.get(space.path, 0) for space in target.spaces), default=0)
    reason = no_room(target, plot.size_bytes, coming)
    return wait("drives", reason, needs_bytes=plot.size_bytes + MARGIN_BYTES, free_bytes=max(0, free_bytes))
