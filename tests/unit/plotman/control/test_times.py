"""Times as people give them to --until."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from plotman.control.times import moment

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 10, 24, 14, 30, tzinfo=UTC)  # 16:30 in Berlin, the day before the clock goes back


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("18:00", "2026-10-24T18:00+02:00"),
        ("16:31", "2026-10-24T16:31+02:00"),
        ("16:30", "2026-10-25T16:30+01:00"),  # the next time that the clock shows it
        ("6:05", "2026-10-25T06:05+01:00"),
        ("2026-11-24 18:00", "2026-11-24T18:00+01:00"),
        ("2026-11-24T18:00", "2026-11-24T18:00+01:00"),
        ("2026-11-24", "2026-11-24T00:00+01:00"),
        ("+2h", "2026-10-24T18:30+02:00"),
        ("+1d12h30m", "2026-10-26T04:00+01:00"),
        (" +90m ", "2026-10-24T18:00+02:00"),
    ],
)
def test_a_time_by_the_clock_on_the_wall_or_from_now(text: str, at: str) -> None:
    assert moment(text, NOW, BERLIN) == datetime.fromisoformat(at)


@pytest.mark.parametrize(
    "text", ["", "noon", "24:00", "12:60", "+", "+0m", "+2", "2026-10-24 16:30", "2025-01-01"]
)
def test_what_is_no_time_to_come_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"say HH:MM"):
        moment(text, NOW, BERLIN)
