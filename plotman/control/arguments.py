"""Rates, ages and times as operators write them on the command line and in the dashboard. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

_WORDS = {"OFF": 0, "DEFAULT": None}
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
_LEAST_BYTES_S = 1024


def rate_of(text: str) -> int | None:
    """Parse a rate: `80M`, `80MB/s`, `off` or `default`.

    Returns bytes per second; 0: no limit; None: the limit of plotman.yaml. Raises ValueError with a sentence.
    """
    words = text.strip().upper()
    if words in _WORDS:
        return _WORDS[words]
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?)B?(?:/S)?", words)
    if match is None:
        raise ValueError(f"{text} is not a rate; write 80M, 500K, off or default")
    bytes_s = int(float(match[1]) * _UNITS[match[2]])
    if bytes_s < _LEAST_BYTES_S:
        raise ValueError(f"{text} is too little; write 2K or more, or off")
    return bytes_s


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def age_s(text: str) -> float:
    """Parse `45s`, `90m`, `2h`, `3d` or `2w` as seconds. Raises ValueError with a sentence."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", text.strip().lower())
    if match is None:
        raise ValueError(f"{text} is not an age; write 30m, 2h or 3d")
    return float(match[1]) * _SECONDS[match[2]]


def past(text: str, now: datetime) -> datetime:
    """Parse an age (see age_s) before `now`, or a local date or time. Raises ValueError with a sentence."""
    try:
        return now - timedelta(seconds=age_s(text))
    except (ValueError, OverflowError):
        try:
            return datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{text} is not a time; write 90m, 24h, 7d, 2w or 2026-11-22") from error


_AHEAD = re.compile(r"\+(?:(?P<days>\d+)d)?(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?")
_FORMS = ("%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
_WRITE = "write HH:MM, 'YYYY-MM-DD HH:MM' or +2h (d, h and m)"


def moment(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """Parse a future time: `18:00` (the next time a clock shows it), `2026-11-24 18:00` or `+2h`.

    Raises ValueError with a sentence. zone: time zone of `text`; None: this machine's.
    """
    text = text.strip()
    if text.startswith("+"):
        match = _AHEAD.fullmatch(text)
        if match is None or not any(match.groupdict().values()):
            raise ValueError(f"{text} is not a time; {_WRITE}")
        ahead = timedelta(**{unit: int(count) for unit, count in match.groupdict().items() if count})
        if not ahead:
            raise ValueError(f"{text} is now; {_WRITE}")
        return now.astimezone(UTC) + ahead
    found = _on_the_clock(text, now.astimezone(zone).replace(tzinfo=None)) or _on_a_day(text)
    if found is None:
        raise ValueError(f"{text} is not a time; {_WRITE}")
    # The UTC offset of that day may differ from today's.
    at = found.replace(tzinfo=zone).astimezone(UTC)  # without tzinfo, astimezone takes this machine's zone
    if at <= now:
        raise ValueError(f"{text} is over; {_WRITE}")
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
            return datetime.strptime(text, form)  # noqa: DTZ007  the caller knows the zone
        except ValueError:
            continue
    return None
