"""What persons said shall take nothing new: the order, whether it still holds, and how that is told."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar

from pydantic import AwareDatetime

from common.errors import OrderRefused
from common.model.messages import Message
from common.model.paths import one_spelling
from common.model.snapshot import Hold

# Keys of holds that are of no directory.
PLOTTING = "plotting"
ARCHIVING = "archiving"
ALL = "all"  # of the host, in this role

_DAY_S = 86_400


class HoldOrder(Message):
    """Arguments of pause, drain and their opposites.

    what: plotting or archiving. dir: a directory or drive of the host; None: the host as a whole. until: when
    it ends by itself. after: so many more plots may start before.
    """

    host: str
    what: str = PLOTTING
    dir: str | None = None
    reason: str | None = None
    by: str | None = None
    until: AwareDatetime | None = None
    after: int | None = None

    def checked(self, now: datetime) -> Self:
        """Raises OrderRefused for what cannot be meant."""
        if self.what not in (PLOTTING, ARCHIVING):
            raise OrderRefused(f"{self.what} cannot be paused.", f"Say {PLOTTING} or {ARCHIVING}.")
        if self.after is not None and (self.after < 0 or self.what != PLOTTING):
            raise OrderRefused("`after` is a number of plots that may still start.", "Leave it out.")
        if self.until is not None and self.until <= now:
            raise OrderRefused(f"{self.until:%Y-%m-%d %H:%M:%S} UTC is over.", "Name a time to come.")
        return self

    def hold(self, now: datetime) -> Hold:
        return Hold(reason=self.reason, by=self.by, since=now, until=self.until)


class LiftOrder(HoldOrder):
    """Arguments of undrain. everything: the hold on the host and those on all its directories or drives."""

    everything: bool = False

    def checked(self, now: datetime) -> Self:
        """Raises OrderRefused for what cannot be meant."""
        if self.everything and self.dir is not None:
            raise OrderRefused("`everything` and `dir` exclude each other.", "Leave one of them out.")
        return super().checked(now)


Order = TypeVar("Order", bound=HoldOrder)


def read_order(host: str, arguments: Mapping[str, Any], kind: type[Order]) -> Order:
    """A task's arguments beside `host`. Raises OrderRefused."""
    return kind.read(host=host, **arguments).checked(datetime.now(UTC))


def drains(holds: Mapping[str, Hold], now: datetime) -> list[str]:
    """Keys of the drains that hold now, that of the host first."""
    keys = {key for key in holds if key not in (PLOTTING, ARCHIVING) and at_work(holds, key, now)}
    return sorted(keys, key=lambda key: (key != ALL, key))


def lifted(host: str, keys: Sequence[str], left: Sequence[str] = ()) -> tuple[str, dict[str, Any]]:
    """What an undrain answers beside its sentence: words to append to it, and the same for programs.

    keys: drains that were lifted. left: drains of the host that still hold.
    """
    names, still = ([host if key == ALL else key for key in some] for some in (keys, left))
    words = f"; lifted: {', '.join(names)}" if names else "; nothing was drained"
    return words + (f"; still drained: {', '.join(still)}" if still else ""), {
        "lifted": names,
        "drained": still,
    }


def key_of(order: HoldOrder, what: str, places: Sequence[str], held: Container[str]) -> str:
    """The key under which the order's hold is kept. Raises OrderRefused for what is no place of the host.

    what, places: `drive`, and those that the host has. held: keys of its holds; what was drained and
    then left the configuration may still be let go.
    """
    if order.dir is None:
        return ALL
    place = one_spelling(order.dir) if order.dir.strip() else order.dir
    if place not in places and place not in held:
        raise OrderRefused(f"{place} is no {what} of {order.host}.", f"It has {', '.join(places) or 'none'}.")
    return place


def at_work(holds: Mapping[str, Hold], key: str, now: datetime) -> Hold | None:
    """The hold under this key, unless it is over."""
    hold = holds.get(key)
    return hold if hold is not None and (hold.until is None or hold.until > now) else None


def over(holds: Mapping[str, Hold], now: datetime) -> set[str]:
    """Keys of the holds that have ended by themselves."""
    return {key for key, hold in holds.items() if hold.until is not None and hold.until <= now}


def words(hold: Hold, now: datetime, utc_offset_s: int = 0) -> str:
    """`new cable (anna@desk), until 18:00`: why, who, and until when by a clock that is so far ahead of UTC;
    empty where nothing is known."""
    told = " ".join(filter(None, (hold.reason, f"({hold.by})" if hold.by else None)))
    until = f"until {clock(hold.until, now, utc_offset_s)}" if hold.until else None
    return ", ".join(filter(None, (told, until)))


def sentence(what: str, hold: Hold, now: datetime, utc_offset_s: int = 0) -> str:
    """`what: words`, or without a reason `what (anna@desk), until 18:00`, or `what` alone."""
    told = words(hold, now, utc_offset_s)
    return f"{what}{': ' if hold.reason else ' '}{told}".rstrip()


def clock(at: datetime, now: datetime, utc_offset_s: int = 0) -> str:
    """`18:00` within a day, else `2026-11-24 18:00`."""
    local = at + timedelta(seconds=utc_offset_s)
    near = abs((at - now).total_seconds()) < _DAY_S
    return f"{local:%H:%M}" if near else f"{local:%Y-%m-%d %H:%M}"


def utc_offset_s() -> int:
    """How far this machine's clock on the wall is ahead of UTC now."""
    offset = datetime.now(UTC).astimezone().utcoffset()
    return round(offset.total_seconds()) if offset else 0
