"""Whether a plot goes to its host's archiving target (plotman 0.5.3's way, without a harvester)."""

from __future__ import annotations

from beat.policy.decision import Move
from beat.policy.moves.target_capacity import TargetCapacity
from common.model.pending import SENT, PendingMove
from common.model.snapshot import ArchiverSnapshot, FinishedPlot, PlotterSnapshot, TargetReport, Wait
from common.model.targets import MARGIN_BYTES, fitting, label, no_room


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
