"""Whether a plot goes to its host's archiving target (0.5.3's way, without a harvester), and its space."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from beat.policy.decision import Move
from beat.policy.moves.source import Source
from common.model.pending import SENT, MoveStep, PendingMove
from common.model.snapshot import ArchiverSnapshot, FinishedPlot, TargetReport, Wait
from common.model.targets import MARGIN_BYTES, fitting, label, no_room
from common.names import MOVE_LIFETIME

# What one other plotter says it sends to a place counts at most for this many plots there.
_PLOTS_OF_OTHERS = 2


class TargetCapacity:
    """Moves to the targets of plotman 0.5.3, by place. Changes while a round is planned.

    The archiver chooses the folder of a plot, and its snapshot shows it. Until then, the plot counts in each
    folder of the place. The same holds if an archiver ends and its script continues: the next archiver sees
    that something is sent, but not where.

    All bytes that are still to be sent are subtracted from the free space, even if rsync has allocated them
    already (--preallocate) and they are subtracted twice: many file systems of a NAS (ZFS, NFS) do not
    reserve allocated bytes, and one plot that waits is better than two on the last space.

    What a plotter says of a place keeps no other from sending: it takes the space of one or two plots. Of the
    local place of another plotter it says nothing.
    """

    def __init__(
        self,
        archivers: Mapping[str, ArchiverSnapshot],
        moves: Mapping[str, Sequence[PendingMove]],
        now: datetime,
    ) -> None:
        # By place and host: folder -> bytes on their way; None: a plot whose folder is not known.
        self._coming: dict[str, dict[str, dict[str | None, int]]] = {}
        self._hosts = archivers.keys()
        for host, archiver in archivers.items():
            target = archiver.target
            if target is None or _belongs_to_another(target.place, host, archivers):
                continue
            name = label(target.name)
            coming = self._coming.setdefault(target.place, {}).setdefault(host, {})
            for transfer in archiver.transfers:
                rest_bytes = max(0, transfer.size_bytes - transfer.sent_bytes)
                coming[transfer.drive] = coming.get(transfer.drive, 0) + rest_bytes
            seen = {transfer.path for transfer in archiver.transfers}
            for move in moves.get(host, ()):
                about_to = move.step is MoveStep.TRANSFER and move.harvester == name
                if about_to and move.path not in seen and _may_be_sent(move, now):
                    coming[None] = 0
            if target.elsewhere is not None:
                coming[None] = 0

    def coming(self, target: TargetReport, host: str, size_bytes: int) -> Mapping[str, int]:
        """Return by folder the bytes that are still to be written there, before a plot of `host`.

        Args:
            size_bytes: of the plot. A plot of another host whose folder is not known counts as large.
        """
        found: Counter[str] = Counter()
        for other, coming in self._coming.get(target.place, {}).items():
            of_others_bytes = (_PLOTS_OF_OTHERS - (None in coming)) * size_bytes
            rest_bytes = sum(coming.values()) if other == host else of_others_bytes
            for folder, folder_bytes in coming.items():
                if folder is not None:
                    found[folder] += min(folder_bytes, rest_bytes)
                    rest_bytes -= min(folder_bytes, rest_bytes)
            if None in coming and other != host:
                found.update({space.path: size_bytes for space in target.spaces})
        return {folder: folder_bytes for folder, folder_bytes in found.items() if folder_bytes}

    def add(self, target: TargetReport, host: str) -> None:
        """Count a plot of this host that is ordered there."""
        if not _belongs_to_another(target.place, host, self._hosts):
            self._coming.setdefault(target.place, {}).setdefault(host, {})[None] = 0


def _belongs_to_another(place: str, host: str, hosts: Collection[str]) -> bool:
    """Whether the place is a local one of another host (plotter_worker.archiving.targets.definition)."""
    owner = place.partition(":")[0]
    return owner != host and owner in hosts


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
    snapshot: Source,
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
    coming = capacity.coming(target, snapshot.host, plot.size_bytes)
    # A plot whose move has begun may have an incomplete copy there, whose space counts: the archiver checks.
    begun = former is not None and former.harvester == label(target.name)
    if begun or fitting(target.spaces, plot.size_bytes, coming):
        capacity.add(target, snapshot.host)
        name = label(target.name)
        return Move(snapshot.host, plot, name, attempts, to_target=True, coming=tuple(sorted(coming.items())))
    free_bytes = max((space.free_bytes - coming.get(space.path, 0) for space in target.spaces), default=0)
    reason = no_room(target, plot.size_bytes, coming)
    return wait("drives", reason, needs_bytes=plot.size_bytes + MARGIN_BYTES, free_bytes=max(0, free_bytes))
