"""Operator holds (pause, drain): their orders, scope, expiry and wording."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from common.errors import OrderRefused
from common.model.messages import Count, Message, Moment, OneLine
from common.model.paths import one_spelling
from common.model.snapshot import Hold

# Keys of holds that belong to no directory.
PLOTTING = "plotting"
ARCHIVING = "archiving"
ALL = "all"  # of the host, in this role

_DAY_S = 86_400


class HoldOrder(Message):
    """Arguments of pause, drain and their opposites.

    what: plotting or archiving.
    dir: a directory or drive of the host; None: the host as a whole.
    until: when the hold expires.
    after: how many more plots may start before it begins.
    """

    host: OneLine
    what: OneLine = PLOTTING
    dir: OneLine | None = None
    reason: OneLine | None = None
    by: OneLine | None = None
    until: Moment | None = None
    after: Count | None = None

    @classmethod
    def read(cls, /, **arguments: Any) -> Self:
        """Check a task's arguments, and whether they have a meaning. Raises OrderRefused."""
        return super().read(**arguments).checked(datetime.now(UTC))

    def checked(self, now: datetime) -> Self:
        """Return the order if it is meaningful. Raises OrderRefused."""
        if self.what not in (PLOTTING, ARCHIVING):
            raise OrderRefused(f"{self.what} cannot be paused.", f"Write {PLOTTING} or {ARCHIVING}.")
        if self.after is not None and self.what != PLOTTING:
            raise OrderRefused("`after` is a number of plots that may still start.", "Leave it out.")
        if self.until is not None and self.until <= now:
            raise OrderRefused(f"{self.until:%Y-%m-%d %H:%M:%S} UTC has passed.", "Write a later time.")
        return self

    def hold(self, now: datetime) -> Hold:
        return Hold(reason=self.reason, by=self.by, since=now, until=self.until)


class LiftOrder(HoldOrder):
    """Arguments of undrain. everything: lift the hold on the host and those on its directories or drives."""

    everything: bool = False

    def checked(self, now: datetime) -> Self:
        """Return the order if it is meaningful. Raises OrderRefused."""
        if self.everything and self.dir is not None:
            raise OrderRefused("`everything` and `dir` exclude each other.", "Leave one of them out.")
        return super().checked(now)


def drains(holds: Mapping[str, Hold], now: datetime) -> list[str]:
    """Keys of the drains that hold now, the one of the host first."""
    keys = {key for key in holds if key not in (PLOTTING, ARCHIVING) and at_work(holds, key, now)}
    return sorted(keys, key=lambda key: (key != ALL, key))


def lifted(order: LiftOrder, key: str, drained: Sequence[str]) -> tuple[list[str], str, dict[str, Any]]:
    """What an undrain lifts.

    Args:
        order: the order, for the drain under `key`.
        drained: keys of all drains that hold.

    Returns:
        The keys to lift, and the end of the answer as text and as JSON. In them the drain of the host as a
        whole has its name.
    """
    keys = [one for one in drained if order.everything or one == key]
    left = [one for one in drained if one not in keys] if key == ALL else []
    names, still = ([order.host if one == ALL else one for one in some] for some in (keys, left))
    words = f"; lifted: {', '.join(names)}" if names else "; nothing was drained"
    words += f"; still drained: {', '.join(still)}" if still else ""
    return [key, *keys], words, {"lifted": names, "drained": still}


def key_of(order: HoldOrder, what: str, places: Sequence[str], held: Container[str]) -> str:
    """The key under which the order's hold is kept.

    Args:
        what: `drive` or `directory`, for the error.
        places: drives or directories of the host.
        held: keys of its holds. A place that was drained and then left the configuration can still be
            lifted.

    Raises:
        OrderRefused: the order names no place of the host.
    """
    if order.dir is None:
        return ALL
    place = one_spelling(order.dir) if order.dir.strip() else order.dir
    if place not in places and place not in held:
        raise OrderRefused(
            f"{place} is not a {what} of {order.host}.", f"It has {', '.join(places) or 'none'}."
        )
    return place


def at_work(holds: Mapping[str, Hold], key: str, now: datetime) -> Hold | None:
    """The hold under this key; None without one, and after its expiry."""
    hold = holds.get(key)
    return hold if hold is not None and (hold.until is None or hold.until > now) else None


def over(holds: Mapping[str, Hold], now: datetime) -> set[str]:
    """Keys of the holds that have expired."""
    return {key for key, hold in holds.items() if hold.until is not None and hold.until <= now}


def words(hold: Hold, now: datetime, utc_offset_s: int = 0) -> str:
    """`new cable (anna@desk), until 18:00`; empty if the hold has neither reason, author nor end.

    Args:
        now: aware UTC.
        utc_offset_s: how far the local time of the text is ahead of UTC.
    """
    why = " ".join(filter(None, (hold.reason, f"({hold.by})" if hold.by else None)))
    until = f"until {clock(hold.until, now, utc_offset_s)}" if hold.until else None
    return ", ".join(filter(None, (why, until)))


def sentence(what: str, hold: Hold, now: datetime, utc_offset_s: int = 0) -> str:
    """`what: new cable (anna@desk), until 18:00`; without a reason `what (anna@desk), until 18:00`."""
    return f"{what}{': ' if hold.reason else ' '}{words(hold, now, utc_offset_s)}".rstrip()


def clock(at: datetime, now: datetime, utc_offset_s: int = 0) -> str:
    """`18:00` if `at` is less than a day away, else `2026-11-24 18:00`."""
    local = at + timedelta(seconds=utc_offset_s)
    near = abs((at - now).total_seconds()) < _DAY_S
    return f"{local:%H:%M}" if near else f"{local:%Y-%m-%d %H:%M}"


def utc_offset_s() -> int:
    """How far this machine's local time is ahead of UTC now."""
    offset = datetime.now(UTC).astimezone().utcoffset()
    return round(offset.total_seconds()) if offset else 0
