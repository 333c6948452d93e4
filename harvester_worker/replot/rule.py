"""Which old plot goes now, or why none does. Pure.

The limits, by the names of docs/adr/0025-replot.md: one plot at a time on a harvester (I3), no more bytes
than new plots have brought (I4), only on a sound drive (I5), only where the next new plot has no room (I6).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from common.model.replot_victims import DriveId, Victim, first_turn
from common.model.units import human_bytes


@dataclass(frozen=True, slots=True)
class DriveRoom:
    """A drive with old plots.

    closed: why none of them may go, completes "/d1 ...": "is draining"; None: they may.
    room_bytes: free after all plots on their way have arrived, with what was deleted moments ago: some file
        systems give it back late.
    """

    closed: str | None
    room_bytes: int


@dataclass(frozen=True, slots=True)
class Account:
    """What was counted since the order.

    new_bytes, largest_bytes: of plots that arrived and were proved; of the largest of them.
    unused_bytes: of those for which no old plot has gone.
    deleted_bytes: of old plots. deleted_today: old plots. unsettled: one is being deleted.
    """

    new_bytes: int
    largest_bytes: int
    unused_bytes: int
    deleted_bytes: int
    deleted_today: int
    unsettled: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """low_water_bytes: stays free on each drive. max_per_day: old plots; None: no limit."""

    low_water_bytes: int
    max_per_day: int | None


def is_short(room: DriveRoom, account: Account, limits: Limits) -> bool:
    """Whether the next new plot has no room on a drive."""
    return room.room_bytes - limits.low_water_bytes < account.largest_bytes


def why_not(victim: Victim, room: DriveRoom, account: Account, limits: Limits) -> str | None:
    """Why an old plot may not go now; None: it may.

    Args:
        victim: the plot.
        room: its drive.
        account: what was counted.
        limits: of the order.
    """
    if account.unsettled:
        return "another old plot is being deleted"
    if room.closed is not None:
        return f"{victim.drive.path} {room.closed}"
    if limits.max_per_day is not None and account.deleted_today >= limits.max_per_day:
        return f"{account.deleted_today} of {limits.max_per_day} old plots have gone today (UTC)"
    if account.new_bytes == 0:
        return "no new plot has arrived and been proved since the order"
    if not is_short(room, account, limits):
        return f"{victim.drive.path} has room for the next new plot"
    free_bytes = min(account.unused_bytes, account.new_bytes - account.deleted_bytes)
    if victim.size_bytes <= 0 or free_bytes < victim.size_bytes:
        missing = human_bytes(max(1, victim.size_bytes - free_bytes))
        return f"waits for {missing} of new proved plots before the next old plot goes: {victim.name}"
    return None


def choose(
    victims: Sequence[Victim],
    drives: Mapping[DriveId, DriveRoom],
    account: Account,
    limits: Limits,
) -> Victim | str:
    """The old plot that goes now, or why none does.

    A class comes after all plots of the classes before it that may go.

    Args:
        victims: of each class on each drive, in their order, in the order of the drives; of classes that have
            begun only.
        drives: of these plots.
        account: what was counted.
        limits: of the order.
    """
    sound = [one for one in victims if drives[one.drive].closed is None]
    if not sound:
        closed = {one.drive.path: drives[one.drive].closed for one in victims}
        named = ", ".join(f"{path} {why}" for path, why in closed.items())
        return f"none of the drives with plots of the classes can be used: {named}"
    first = min(one.number for one in sound)
    of_class = [one for one in sound if one.number == first]
    short = [one for one in of_class if is_short(drives[one.drive], account, limits)]
    (victim,) = first_turn(short or of_class)
    if not short and account.new_bytes:
        return "all drives with plots of this class have room for the next new plot"
    return why_not(victim, drives[victim.drive], account, limits) or victim
