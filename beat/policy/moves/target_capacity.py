"""Where plots go without a harvester: what is on its way there, and whose plots go to a folder not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from common.model.pending import MoveStep, PendingMove
from common.model.snapshot import ArchiverSnapshot, TargetReport
from common.model.targets import label
from common.names import MOVE_LIFETIME


class TargetCapacity:
    """The places that targets of plotman 0.5.3 stand for. Changes while a round is planned.

    Which folder a plot goes to is its archiver's choice, and is seen in its snapshot. Until then no other
    plotter is sent to the same place: both might take the last room. So it is again when the archiver leaves
    and its script goes on: the next archiver sees that something is sent, and not where to.

    Bytes on their way are taken off the free space as a whole, though rsync may have allocated them already
    (--preallocate), and then they are taken off twice: many file systems of a NAS (ZFS, NFS) do not hold what
    is allocated, and a plot that waits for another's end is better than two on the last room.
    """

    def __init__(
        self,
        archivers: Mapping[str, ArchiverSnapshot],
        moves: Mapping[str, Sequence[PendingMove]],
        now: datetime,
    ) -> None:
        self._coming: dict[str, dict[str, int]] = {}
        # By place and host: a transfer, for people, whose folder is not known; None: it is just chosen.
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
        """Folder -> bytes that are still to be written there."""
        return self._coming.get(target.place, {})

    def unknown(self, target: TargetReport, host: str) -> str | None:
        """What another plotter than `host` does there, so that nobody can tell how much room a folder has;
        for people. None: nothing."""
        for other, transfer in self._unknown.get(target.place, {}).items():
            if other != host:
                name = label(target.name)
                if transfer is None:
                    return f"{other} is just choosing a folder of {name}"
                return f"{transfer} of {other} still sends to a folder of {name}, which one is not known"
        return None

    def send(self, target: TargetReport, host: str) -> None:
        """A plot of this host is ordered there."""
        self._unknown.setdefault(target.place, {})[host] = None


def _may_be_sent(move: PendingMove, now: datetime) -> bool:
    """It did not fail, and is under way or was a moment ago: between an archiver that leaves and the next one
    nobody tells of the script that goes on."""
    return move.retry_at is None and move.expires_at + MOVE_LIFETIME > now
