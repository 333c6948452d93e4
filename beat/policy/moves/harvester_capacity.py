"""Room at the harvesters: what each could take in now, beside the plots that head for it already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from heapq import heapify, heappop, heapreplace

from common.model.pending import MoveStep, PendingMove, under_way
from common.model.snapshot import HarvesterSnapshot


class HarvesterCapacity:
    """One harvester's drives. Changes while a round is planned: each move takes its share. Room is what lies
    above the harvester's margin on drives that take new plots; a full drive is told by its numbers.

    A plot that waits for its reservation is set on the drive with the most room: which one it gets is
    the harvester's own choice, but so many plots of a size will fit. One that is past its reservation
    holds its bytes by its part file, and is in the snapshot.

    heading: plots under way to this harvester.
    strays: part files that no plot under way explains: left by a crash, or by moves whose record is lost.
    largest_bytes: most room on a drive that takes plots, whoever writes there now; None: none is known.
    total_bytes: room on all those drives together.
    words: the state of each drive, for people.
    """

    def __init__(self, snapshot: HarvesterSnapshot, moves: Iterable[PendingMove] = ()) -> None:
        self.host = snapshot.host
        self.writers_per_drive = snapshot.writers_per_drive
        known = [
            (max(0, drive.free_bytes - snapshot.margin_bytes), drive.incoming)
            for drive in snapshot.drives
            if drive.takes_plots and drive.free_bytes is not None
        ]
        self.words = tuple(drive.word for drive in snapshot.drives)
        self.total_bytes = sum(free for free, _ in known)
        self.largest_bytes = max((free for free, _ in known), default=None)
        self.heading = 0
        self.strays = sum(drive.incoming for drive in snapshot.drives)
        # (room, negative so that the most comes first; how many more may write there)
        self._open = [
            (-free, snapshot.writers_per_drive - incoming)
            for free, incoming in known
            if incoming < snapshot.writers_per_drive
        ]
        heapify(self._open)
        for move in moves:
            self._count(move.size_bytes, reserves=move.step is MoveStep.RESERVE)

    @property
    def room_bytes(self) -> int | None:
        """The largest plot that could come now; None where no drive is known that could take one."""
        return -self._open[0][0] if self._open else None

    def send(self, size_bytes: int) -> None:
        """Count one more plot on its way, without a reservation yet."""
        self._count(size_bytes, reserves=True)

    def _count(self, size_bytes: int, *, reserves: bool) -> None:
        self.heading += 1
        self.strays = max(0, self.strays - 1)
        if not reserves or not self._open or -self._open[0][0] < size_bytes:
            return
        room, writers = self._open[0]
        if writers > 1:
            heapreplace(self._open, (room + size_bytes, writers - 1))
        else:
            heappop(self._open)


def harvester_capacities(
    harvesters: Mapping[str, HarvesterSnapshot], moves: Iterable[PendingMove], now: datetime
) -> dict[str, HarvesterCapacity]:
    """Host -> its room, beside `moves` of all plotters that are under way."""
    heading: dict[str, list[PendingMove]] = {}
    for move in moves:
        if under_way(move, now):
            heading.setdefault(move.harvester, []).append(move)
    return {host: HarvesterCapacity(snapshot, heading.get(host, ())) for host, snapshot in harvesters.items()}
