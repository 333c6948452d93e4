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
    """The target that a plot would go to; None where a harvester takes it.

    former: record of the plot's last move. A harvester that may have the plot complete keeps it, whatever
    plotman.yaml says by now: the plot would be farmed twice.
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
    places: TargetCapacity,
    attempts: int,
) -> Move | Wait:
    """The plot's move, or why it waits. attempts: failures in a row so far."""

    def wait(rule: str, reason: str, **numbers: float) -> Wait:
        return Wait(host=snapshot.host, rule=rule, reason=reason, subject=plot.path, numbers=numbers)

    if target.elsewhere is not None:
        return wait("moves", f"moves 1/1: {target.elsewhere} still sends to {label(target.name)}")
    if target.trouble is not None:
        return wait("target", target.trouble)
    if target.asked_at is None:
        return wait("target", f"free space of {label(target.name)} is not known yet")
    if (other := places.unknown(target, snapshot.host)) is not None:
        return wait("moves", other)
    coming = places.coming(target)
    # A copy of one that was begun may be there, which takes no more room: the archiver looks.
    begun = former is not None and former.harvester == label(target.name)
    if begun or fitting(target.spaces, plot.size_bytes, coming):
        places.send(target, snapshot.host)
        name = label(target.name)
        return Move(snapshot.host, plot, name, attempts, to_target=True, coming=tuple(sorted(coming.items())))
    free_bytes = max((space.free_bytes - coming.get(space.path, 0) for space in target.spaces), default=0)
    reason = no_room(target, plot.size_bytes, coming)
    return wait("drives", reason, needs_bytes=plot.size_bytes + MARGIN_BYTES, free_bytes=max(0, free_bytes))
