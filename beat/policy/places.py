"""Where plots go without a harvester: what is on its way there, and who is about to choose a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from beat.policy.berths import under_way
from common.pending import MoveStep, PendingMove
from common.snapshot import ArchiverSnapshot, TargetReport
from common.targets import label


class Places:
    """The places that targets of plotman 0.5.3 stand for. Changes while a round is planned.

    Which folder a plot goes to is its archiver's choice, and is seen in its snapshot. Until then no other
    plotter is sent to the same place: both might take the last room.
    """

    def __init__(
        self,
        archivers: Mapping[str, ArchiverSnapshot],
        moves: Mapping[str, Sequence[PendingMove]],
        now: datetime,
    ) -> None:
        self._coming: dict[str, dict[str, int]] = {}
        self._choosing: dict[str, str] = {}
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
                if about_to and move.path not in seen and under_way(move, now):
                    self._choosing[place] = host

    def coming(self, target: TargetReport) -> Mapping[str, int]:
        """Folder -> bytes that are still to be written there."""
        return self._coming.get(target.place, {})

    def choosing(self, target: TargetReport) -> str | None:
        """Host that is about to choose a folder there; None: nobody."""
        return self._choosing.get(target.place)

    def send(self, target: TargetReport, host: str) -> None:
        """A plot of this host is ordered there."""
        self._choosing[target.place] = host
