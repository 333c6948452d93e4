"""Which harvester takes a plot; the drive is the harvester's own choice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from beat.policy.moves.harvester_capacity import HarvesterCapacity
from common.model.pending import MoveStep, PendingMove, may_have_it
from common.model.snapshot import FinishedPlot, PlotterSnapshot, Wait
from common.model.units import human_bytes, human_bytes_apart

# So often a plot whose transfer broke goes back to where its part file lies; then to whoever has room.
RESUMES_MAX = 2


def choose(
    snapshot: PlotterSnapshot,
    plot: FinishedPlot,
    former: PendingMove | None,
    berths: Mapping[str, HarvesterCapacity],
) -> str | Wait:
    """Host of the harvester for a plot of this plotter, or why there is none.

    former: record of the plot's last move, which expired or failed; None where there is none.
    berths: of all harvesters that are alive.

    The plotter's own host first (nothing to send), then the harvester with the fewest plots on their
    way to it, then the one with the most room on all its drives: equal ones take turns. After one that the
    plot does not get to, the next in this order, and after the last the first.
    """
    if (holder := may_have_it(plot.copied_to, former)) is not None:
        return holder if holder in berths else _copy_is_away(snapshot, plot, holder)
    if former is not None and former.harvester in berths and _resumes(snapshot, former):
        return former.harvester
    allowed = [berths[host] for host in snapshot.harvesters or berths if host in berths]
    if not allowed:
        return _nobody(snapshot, plot)
    fits = [there for there in allowed if (there.room_bytes or -1) >= plot.size_bytes]
    # A part file that no move explains may be this plot's own, from before its record was lost; its
    # harvester can tell, and answers `reserve` with a refusal where it is not.
    fits = fits or [there for there in allowed if there.strays]
    if fits:
        ranked = sorted(_rank(there, snapshot.host) for there in fits)
        hosts = [host for *_, host in ranked]
        return _after(former.harvester, hosts) if former is not None and _in_vain(former) else hosts[0]
    return _no_room(snapshot, plot, allowed)


def _copy_is_away(snapshot: PlotterSnapshot, plot: FinishedPlot, host: str) -> Wait:
    reason = f"harvester {host}, which may have this plot already, is not there"
    return Wait(host=snapshot.host, rule="its copy", reason=reason, subject=plot.path, numbers={})


def _resumes(snapshot: PlotterSnapshot, former: PendingMove) -> bool:
    """Whether the plot goes back to where it was broken off, for a part of it lies there."""
    allowed = not snapshot.harvesters or former.harvester in snapshot.harvesters
    return allowed and former.step is MoveStep.TRANSFER and former.attempts <= RESUMES_MAX


def _in_vain(former: PendingMove) -> bool:
    """Whether the plot leaves that harvester alone if another one has room. What is best by the numbers would
    be best again for ever: they do not show a blocked receiver, nor why no drive can be reserved."""
    no_drive = former.step is MoveStep.RESERVE and former.retry_at is not None
    return no_drive or former.attempts > RESUMES_MAX


def _after(host: str, hosts: Sequence[str]) -> str:
    """The one that follows `host`, itself where it is the only one; the first where it is none of them."""
    return hosts[(hosts.index(host) + 1) % len(hosts)] if host in hosts else hosts[0]


def _rank(there: HarvesterCapacity, home: str) -> tuple[bool, int, int, str]:
    """Least is best."""
    return there.host != home, there.heading, -there.total_bytes, there.host


def _nobody(snapshot: PlotterSnapshot, plot: FinishedPlot) -> Wait:
    if snapshot.harvesters:
        reason = f"no harvester of {', '.join(snapshot.harvesters)} is there"
    else:
        reason = "no harvester is known: start one with `plotman up` on a machine with drives"
    return Wait(host=snapshot.host, rule="harvester", reason=reason, subject=plot.path, numbers={})


def _no_room(snapshot: PlotterSnapshot, plot: FinishedPlot, allowed: Sequence[HarvesterCapacity]) -> Wait:
    numbers: dict[str, float] = {"needs_bytes": plot.size_bytes}
    known = [there for there in allowed if there.largest_bytes is not None]
    if not known:
        hosts = ", ".join(there.host for there in allowed)
        words = Counter(word for there in allowed for word in there.words)
        if words.keys() & {"draining", "disabled"}:
            states = ", ".join(f"{count} {word}" for word, count in sorted(words.items()))
            text = f"no drive of {hosts} takes new ones ({states})"
        elif words:
            text = f"free space of the drives of {hosts} is not known"
        else:
            text = f"{hosts} has no drives" if len(allowed) == 1 else f"none of {hosts} has drives"
        reason = f"plot needs {human_bytes(plot.size_bytes)}; {text}"
        return Wait(host=snapshot.host, rule="drives", reason=reason, subject=plot.path, numbers=numbers)
    best = max(known, key=lambda there: there.largest_bytes or 0)
    largest = best.largest_bytes or 0
    numbers["free_bytes"] = largest
    needs_text, free_text = human_bytes_apart(plot.size_bytes, largest)
    reason = f"plot needs {needs_text}; largest free drive of {best.host} has {free_text}"
    if len(allowed) > 1:
        reason += f", the roomiest of {len(allowed)} harvesters"
    if largest >= plot.size_bytes:
        reason += (
            f", but each with room takes {best.writers_per_drive} at a time; {best.heading} are on their way"
        )
    return Wait(host=snapshot.host, rule="drives", reason=reason, subject=plot.path, numbers=numbers)
