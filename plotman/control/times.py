"""Times as people give them: `18:00`, `2026-11-24 18:00` by the clock on the wall, or `+2h`. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

_AHEAD = re.compile(r"\+(?:(?P<days>\d+)d)?(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?")
_FORMS = ("%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
_SAY = "say HH:MM, 'YYYY-MM-DD HH:MM' or +2h (d, h and m)"


def moment(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """The time meant, aware UTC and later than `now`. zone: of the clock on the wall; None: this machine's.

    `18:00` is the next time the clock shows it. Raises ValueError that says what is wrong.
    """
    text = text.strip()
    if text.startswith("+"):
        match = _AHEAD.fullmatch(text)
        if match is None or not any(match.groupdict().values()):
            raise ValueError(f"{text} is no time; {_SAY}")
        ahead = timedelta(**{unit: int(count) for unit, count in match.groupdict().items() if count})
        if not ahead:
            raise ValueError(f"{text} is now; {_SAY}")
        return now.astimezone(UTC) + ahead
    found = _on_the_clock(text, now.astimezone(zone).replace(tzinfo=None)) or _on_a_day(text)
    if found is None:
        raise ValueError(f"{text} is no time; {_SAY}")
    # By way of the time zone's own rules: the offset of that day may not be that of today.
    at = found.replace(tzinfo=zone).astimezone(UTC)  # naive stands for this machine's
    if at <= now:
        raise ValueError(f"{text} is over; {_SAY}")
    return at


def _on_the_clock(text: str, wall: datetime) -> datetime | None:
    match = re.fullmatch(r"(\d{1,2}):(\d{2})", text)
    if match is None or int(match[1]) > 23 or int(match[2]) > 59:
        return None
    today = wall.replace(hour=int(match[1]), minute=int(match[2]), second=0, microsecond=0)
    return today if today > wall else today + timedelta(days=1)


def _on_a_day(text: str) -> datetime | None:
    for form in _FORMS:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007  the wall's, as the caller says
        except ValueError:
            continue
    return None
