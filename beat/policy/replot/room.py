"""Whether a host has the room in which its first new plots arrive, before an old one goes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from beat.policy.replot.planner import DriveState, ReplotPlan
from beat.policy.replot.worth import new_plot_bytes
from common.model.replot_victims import DriveId


@dataclass(frozen=True, slots=True)
class Shortage:
    """A host that may have too little room to begin or to go on.

    free_bytes: above low water, on the drives that take new plots.
    needed_bytes: with as much, it never stops for lack of room.
    """

    host: str
    free_bytes: int
    needed_bytes: int


def shortages(made: ReplotPlan, drives: Mapping[DriveId, DriveState]) -> Iterator[Shortage]:
    """Yield the hosts with too little room.

    An old plot goes after as many bytes of new ones, and frees its bytes for the next: what is free and what
    new plots have brought stay the same in sum. On each drive, less than a new plot may stay unused.

    Args:
        made: the plan.
        drives: of the farm.
    """
    largest: dict[str, int] = {}
    for drive in made.drives:
        sizes = [one.bytes // one.plots for one in drive.classes]
        largest[drive.drive.host] = max(largest.get(drive.drive.host, 0), *sizes)
    for host, old_bytes in largest.items():
        rooms = _rooms(host, drives)
        needed_bytes = old_bytes + len(rooms) * new_plot_bytes()
        if sum(rooms.values()) < needed_bytes:
            yield Shortage(host, free_bytes=sum(rooms.values()), needed_bytes=needed_bytes)


def _rooms(host: str, drives: Mapping[DriveId, DriveState]) -> dict[str, int]:
    """Bytes above low water of each file system of a host that takes new plots."""
    found: dict[str, int] = {}
    for drive, state in drives.items():
        if drive.host == host and state.closed is None and state.free_bytes is not None:
            found.setdefault(state.device or drive.path, max(0, state.free_bytes - state.low_water_bytes))
    return found
