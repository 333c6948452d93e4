"""Time windows for starts or quiet hours: `22:00-06:00`, `Mon-Fri 22:00-06:00`, `Sat,Sun 00:00-24:00`. Pure.

The days of a window are those on which it opens. A window over midnight closes on the next day.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")  # Monday is 0, as in datetime.weekday
_DAY = timedelta(days=1)
_FORM = re.compile(r"(?:(?P<days>[A-Za-z,\-\s]+?)\s+)?(?P<opens>\S+?)\s*-\s*(?P<closes>\S+)")
LONGEST_WINDOW = 100  # characters; the form is matched in a time that grows with their square
_EXAMPLE = "22:00-06:00 or Mon-Fri 22:00-06:00"


@dataclass(frozen=True, slots=True)
class Window:
    """A window. opens_min: minutes after midnight. lasts_min: minutes until it closes, a day at most."""

    days: frozenset[int]
    opens_min: int
    lasts_min: int

    def openings(self, local: datetime) -> Iterable[tuple[datetime, datetime]]:
        """(opens, closes) from the day before `local` to a week after it."""
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        for ahead in range(-1, 9):
            day = midnight + ahead * _DAY
            if day.weekday() in self.days:
                opens = day + timedelta(minutes=self.opens_min)
                yield opens, opens + timedelta(minutes=self.lasts_min)


@lru_cache(maxsize=1024)
def parse(text: str) -> Window:
    """Parse a window. Raises ValueError that states what is wrong."""
    if len(text) > LONGEST_WINDOW:
        raise ValueError(f"it is longer than {LONGEST_WINDOW} characters, and not of the form {_EXAMPLE}")
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not of the form {_EXAMPLE}")
    opens, closes = _minutes(match["opens"]), _minutes(match["closes"])
    if opens == closes:
        raise ValueError(f"{text!r} never opens; the whole day is 00:00-24:00")
    if opens == 24 * 60:
        raise ValueError(f"{text!r} opens at 24:00; write 00:00")
    return Window(_days(match["days"]), opens, (closes - opens) % (24 * 60) or 24 * 60)


def checked(text: str) -> str:
    """Return the text if it is a window. Raises ValueError."""
    parse(text)
    return text


def is_open(window: str, local: datetime) -> bool:
    """Whether the window is open at the local time `local`."""
    return any(opens <= local < closes for opens, closes in parse(window).openings(local))


def opens_at(windows: Iterable[str], now: datetime, utc_offset_s: int) -> datetime | None:
    """When the next window opens (UTC); None while one is open, and without windows.

    Args:
        windows: as text.
        now: aware UTC.
        utc_offset_s: how far the local time of the windows is ahead of UTC.
    """
    local = now + timedelta(seconds=utc_offset_s)
    next_opening: datetime | None = None
    for window in map(parse, windows):
        for opens, closes in window.openings(local):
            if opens <= local < closes:
                return None
            if local < opens and (next_opening is None or opens < next_opening):
                next_opening = opens
    return None if next_opening is None else next_opening - timedelta(seconds=utc_offset_s)


def _minutes(text: str) -> int:
    match = re.fullmatch(r"(\d{1,2}):(\d{2})", text)
    hours, minutes = (int(match[1]), int(match[2])) if match else (99, 0)
    if minutes > 59 or hours * 60 + minutes > 24 * 60:
        raise ValueError(f"{text} is not a time of day; write it as in {_EXAMPLE}")
    return hours * 60 + minutes


def _days(text: str | None) -> frozenset[int]:
    if text is None:
        return frozenset(range(7))
    found: set[int] = set()
    for part in text.split(","):
        ends = [_day(name) for name in part.split("-")]
        if len(ends) > 2:
            raise ValueError(f"{part.strip()} is not a range of days; write Mon-Fri")
        first, last = ends[0], ends[-1]
        found |= {(first + step) % 7 for step in range((last - first) % 7 + 1)}
    return frozenset(found)


def _day(name: str) -> int:
    short = name.strip().lower()[:3]
    if short not in _DAYS:
        raise ValueError(
            f"{name.strip() or 'nothing'} is not a day; write Mon, Tue, Wed, Thu, Fri, Sat or Sun"
        )
    return _DAYS.index(short)
