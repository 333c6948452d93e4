"""Free space of the harvesters, after the plots that are already on their way to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from heapq import heapify, heappop, heapreplace

from common.model.pending import MoveStep, PendingMove, under_way
from common.model.snapshot import HarvesterSnapshot


class HarvesterCapacity:
    """One harvester's drives. Changes while a round is planned: each move takes its space.

    Room is the free space beyond the harvester's margin, on drives that accept new plots. A plot without a
    reservation is counted on the drive with the most room: the harvester chooses the drive itself, but the
    number of plots that fit is the same. A plot with a reservation holds its bytes by its part file, which
    the snapshot counts.

    on_the_way: plots on their way to this harvester.
    stray_parts: part files that no plot on its way explains: left by a crash, or by moves whose record is
    lost.
    largest_bytes: most room on one drive, even if plots are being written there; None: not known.
    total_bytes: room on all those drives together.
    drive_states: the state of each drive as `dirs` shows it.
    """

    def __init__(self, snapshot: HarvesterSnapshot, moves: Iterable[PendingMove] = ()) -> None:
        self.host = snapshot.host
        self.writers_per_drive = snapshot.writers_per_drive
        known = [
            (max(0, drive.free_bytes - snapshot.margin_bytes), drive.incoming)
            for drive in snapshot.drives
            if drive.takes_plots and drive.free_bytes is not None
        ]
        self.drive_states = tuple(drive.word for drive in snapshot.drives)
        self.total_bytes = sum(free for free, _ in known)
        self.largest_bytes = max((free for free, _ in known), default=None)
        self.on_the_way = 0
        self.stray_parts = sum(drive.incoming for drive in snapshot.drives)
        # (room, negative so that the most comes first; how many more plots may be written there)
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
        """Size of the largest plot that could be sent now; None if no drive is known to accept one."""
        return -self._open[0][0] if self._open else None

    def add(self, size_bytes: int) -> None:
        """Count one more plot on its way, without a reservation yet."""
        self._count(size_bytes, reserves=True)

    def _count(self, size_bytes: int, *, reserves: bool) -> None:
        self.on_the_way += 1
        self.stray_parts = max(0, self.stray_parts - 1)
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
    """Return each harvester's capacity. moves: of all plotters; those under way take their space."""
    coming: dict[str, list[PendingMove]] = {}
    for move in moves:
        if under_way(move, now):
            coming.setdefault(move.harvester, []).append(move)
    return {host: HarvesterCapacity(snapshot, coming.get(host, ())) for host, snapshot in harvesters.items()}
