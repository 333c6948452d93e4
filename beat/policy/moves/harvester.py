"""Which harvester takes a plot; the drive is the harvester's own choice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from heapq import heapify, heappop, heapreplace

from beat.policy.moves.source import Source
from common.model.holds import sentence
from common.model.pending import MoveStep, PendingMove, may_have_it, under_way
from common.model.snapshot import FinishedPlot, HarvesterSnapshot, Wait
from common.model.units import counted, human_bytes, human_bytes_apart
from common.names import MOVES_AT_ONCE_MAX


class HarvesterCapacity:
    """One harvester's drives. Changes while a round is planned: each move takes its space.

    Room is the free space beyond the harvester's margin, on drives that accept new plots; drives on one file
    system count as one. A plot without a
    reservation is counted on the drive with the most room: the harvester chooses the drive itself, but the
    number of plots that fit is the same. A plot with a reservation holds its bytes by its part file, which
    the snapshot counts.

    on_the_way: plots on their way to this harvester.
    stray_parts: part files that no plot on its way explains: left by a crash, or by moves whose record is
    lost.
    largest_bytes: most room on one drive, even if plots are being written there; None: not known.
    total_bytes: room on all those drives together.
    drive_states: how many drives are in each state, as `dirs` shows it. Counted once, not for each plot.
    drained: an operator's hold on a drive, or on all; None: there is none.
    """

    def __init__(self, snapshot: HarvesterSnapshot, reserved: int = 0) -> None:
        """Begin with the drives as shown. reserved: plots on their way that have a reservation."""
        self.host = snapshot.host
        self.writers_per_drive = snapshot.writers_per_drive
        self.margin_bytes = snapshot.margin_bytes
        known = list(_by_device(snapshot).values())
        self.drive_states = Counter(drive.word for drive in snapshot.drives)
        self.drained = next((drive.drained for drive in snapshot.drives if drive.drained), None)
        self.total_bytes = sum(free for free, _ in known)
        self.largest_bytes = max((free for free, _ in known), default=None)
        self.on_the_way = reserved
        self.stray_parts = max(0, sum(drive.incoming for drive in snapshot.drives) - reserved)
        # (room, negative so that the most comes first; how many more plots may be written there)
        self._open = [(-free, writers) for free, writers in known if writers]
        heapify(self._open)

    @property
    def room_bytes(self) -> int | None:
        """Size of the largest plot that could be sent now; None if no drive is known to accept one."""
        return -self._open[0][0] if self._open else None

    def add(self, size_bytes: int) -> None:
        """Count one more plot on its way, without a reservation yet."""
        self.on_the_way += 1
        self.stray_parts = max(0, self.stray_parts - 1)
        if not self._open or -self._open[0][0] < size_bytes:
            return
        room, writers = self._open[0]
        if writers > 1:
            heapreplace(self._open, (room + size_bytes, writers - 1))
        else:
            heappop(self._open)


def _by_device(snapshot: HarvesterSnapshot) -> dict[str | int, tuple[int, int]]:
    """Room of each file system, shared by its drives, and how many more plots may be written there."""
    found: dict[str | int, tuple[int, int]] = {}
    for number, drive in enumerate(snapshot.drives):
        if drive.takes_plots and drive.free_bytes is not None:
            room = max(0, drive.free_bytes - snapshot.margin_bytes)
            writers = max(0, snapshot.writers_per_drive - drive.incoming)
            device = drive.device or number
            least, others = found.get(device, (room, 0))
            found[device] = (min(room, least), others + writers)
    return found


def harvester_capacities(
    harvesters: Mapping[str, HarvesterSnapshot], moves: Mapping[str, Sequence[PendingMove]], now: datetime
) -> dict[str, HarvesterCapacity]:
    """Return each harvester's capacity before any plot without a reservation is counted.

    Args:
        moves: records of all plotters. Of one plotter, each harvester counts at most MOVES_AT_ONCE_MAX.
    """
    coming: Counter[str] = Counter()
    for records in moves.values():
        own = Counter(
            move.harvester
            for move in records
            if under_way(move, now) and move.step is not MoveStep.RESERVE and move.harvester in harvesters
        )
        for host, count in own.items():
            coming[host] += min(count, MOVES_AT_ONCE_MAX)
    return {host: HarvesterCapacity(snapshot, coming[host]) for host, snapshot in harvesters.items()}


# Tries at the harvester that has the plot's part file; after that any harvester with space may get the plot.
RESUMES_MAX = 2


def choose(
    snapshot: Source,
    plot: FinishedPlot,
    former: PendingMove | None,
    capacities: Mapping[str, HarvesterCapacity],
) -> str | Wait:
    """Choose the harvester for a plot of this plotter.

    The plotter's own host comes first (nothing is sent over the network), then the harvester with the fewest
    plots on their way to it, then the one with the most free space on all its drives; equal ones take turns.
    After a harvester that failed, the next one in this order is tried, and after the last one the first.

    Args:
        former: record of the plot's last move, which expired or failed; None if there is none.
        capacities: of all live harvesters, by host.

    Returns:
        The host of the harvester, or why there is none.
    """
    if (holder := may_have_it(plot.copied_to, former)) is not None:
        return holder if holder in capacities else _copy_is_away(snapshot, plot, holder)
    if former is not None and former.harvester in capacities and resumes(snapshot, former):
        return former.harvester
    allowed = [capacities[host] for host in snapshot.harvesters or capacities if host in capacities]
    if not allowed:
        return _no_harvester(snapshot, plot)
    fits = [there for there in allowed if (there.room_bytes or -1) >= plot.size_bytes]
    # A part file that no move explains may be this plot's own, if its record was lost. Its harvester knows,
    # and refuses `reserve` if it is not.
    fits = fits or [there for there in allowed if there.stray_parts]
    if fits:
        ranked = sorted(_rank(there, snapshot.host) for there in fits)
        hosts = [host for *_, host in ranked]
        return _after(former.harvester, hosts) if former is not None and _in_vain(former) else hosts[0]
    return _no_room(snapshot, plot, allowed)


def _copy_is_away(snapshot: Source, plot: FinishedPlot, host: str) -> Wait:
    reason = f"harvester {host}, which may have this plot already, does not report"
    return Wait(host=snapshot.host, rule="its copy", reason=reason, subject=plot.path, numbers={})


def resumes(snapshot: Source, former: PendingMove) -> bool:
    """Whether the plot returns to the harvester that has a part of it."""
    allowed = not snapshot.harvesters or former.harvester in snapshot.harvesters
    return allowed and former.step is MoveStep.TRANSFER and former.attempts <= RESUMES_MAX


def _in_vain(former: PendingMove) -> bool:
    """Whether another harvester with space is preferred now.

    The best one by the numbers would stay the best for ever: the numbers do not show a blocked receiver,
    nor why no drive can be reserved.
    """
    no_drive = former.step is MoveStep.RESERVE and former.retry_at is not None
    return no_drive or former.attempts > RESUMES_MAX


def _after(host: str, hosts: Sequence[str]) -> str:
    """Return the host after `host`, in a circle; the first one if `host` is not among them."""
    return hosts[(hosts.index(host) + 1) % len(hosts)] if host in hosts else hosts[0]


def _rank(there: HarvesterCapacity, home: str) -> tuple[bool, int, int, str]:
    """Sort key; the least is the best."""
    return there.host != home, there.on_the_way, -there.total_bytes, there.host


def _no_harvester(snapshot: Source, plot: FinishedPlot) -> Wait:
    if snapshot.harvesters:
        reason = f"no harvester of {', '.join(snapshot.harvesters)} is running"
    else:
        reason = "no harvester is running: start one with `plotman up` on a machine with drives"
    return Wait(host=snapshot.host, rule="harvester", reason=reason, subject=plot.path, numbers={})


def _no_room(snapshot: Source, plot: FinishedPlot, allowed: Sequence[HarvesterCapacity]) -> Wait:
    numbers: dict[str, float] = {"needs_bytes": plot.size_bytes}
    known = [there for there in allowed if there.largest_bytes is not None]
    if not known:
        hosts = ", ".join(there.host for there in allowed)
        states = sum((there.drive_states for there in allowed), Counter[str]())
        rule = "drives"
        if states.keys() & {"draining", "disabled"}:
            counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
            text = f"no drive of {hosts} accepts new plots ({counts})"
            hold = next((there.drained for there in allowed if there.drained is not None), None)
            if hold is not None:
                rule = "drained drives"
                text += f"; {sentence('drained', hold, snapshot.at, snapshot.utc_offset_s)}"
        elif states:
            text = f"free space of the drives of {hosts} is not known"
        else:
            text = f"{hosts} has no drives" if len(allowed) == 1 else f"none of {hosts} has drives"
        reason = f"plot needs {human_bytes(plot.size_bytes)}; {text}"
        return Wait(host=snapshot.host, rule=rule, reason=reason, subject=plot.path, numbers=numbers)
    best = max(known, key=lambda there: there.largest_bytes or 0)
    largest = best.largest_bytes or 0
    numbers["free_bytes"] = largest
    needs_text, free_text = human_bytes_apart(plot.size_bytes, largest)
    reason = f"plot needs {needs_text}; largest free drive of {best.host} has {free_text}"
    if best.margin_bytes:
        reason += f" beside harvester.margin_bytes ({human_bytes(best.margin_bytes)})"
    if len(allowed) > 1:
        reason += f", the most of {len(allowed)} harvesters"
    if largest >= plot.size_bytes:
        reason += (
            f", but a drive receives at most {counted(best.writers_per_drive, 'plot')} at a time; "
            f"on the way: {best.on_the_way}"
        )
    is_full = largest < plot.size_bytes
    rule = "drained drives" if is_full and any(there.drained for there in allowed) else "drives"
    return Wait(host=snapshot.host, rule=rule, reason=reason, subject=plot.path, numbers=numbers)
