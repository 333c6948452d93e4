"""Hours of the day for starting, by the clock on the wall."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from common.model.windows import checked, opens_at

# 2026-11-22 is a Sunday.
DAYS = {day: 23 + number for number, day in enumerate(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat"])} | {
    "Sun": 22
}


def local(text: str) -> datetime:
    """`Mon 21:59` of one week; taken for UTC."""
    day, _, clock = text.partition(" ")
    hours, minutes = clock.split(":")
    return datetime(2026, 11, DAYS[day], int(hours), int(minutes), tzinfo=UTC)


@pytest.mark.parametrize(
    ("windows", "now", "opens"),
    [
        # none: always
        ([], "Mon 12:00", None),
        # within a day: from its first minute to its last
        (["09:00-17:00"], "Mon 08:59", "Mon 09:00"),
        (["09:00-17:00"], "Mon 09:00", None),
        (["09:00-17:00"], "Mon 16:59", None),
        (["09:00-17:00"], "Mon 17:00", "Tue 09:00"),
        # over midnight
        (["22:00-06:00"], "Mon 21:59", "Mon 22:00"),
        (["22:00-06:00"], "Mon 23:00", None),
        (["22:00-06:00"], "Tue 05:59", None),
        (["22:00-06:00"], "Tue 06:00", "Tue 22:00"),
        # days are those on which it opens
        (["Mon-Fri 22:00-06:00"], "Sat 05:00", None),
        (["Mon-Fri 22:00-06:00"], "Sun 05:00", "Mon 22:00"),
        (["Mon-Fri 22:00-06:00"], "Mon 05:00", "Mon 22:00"),
        (["Sat,Sun 00:00-24:00"], "Fri 23:59", "Sat 00:00"),
        (["Sat,Sun 00:00-24:00"], "Sat 23:59", None),
        (["Fri-Mon 10:00-11:00"], "Tue 10:30", "Fri 10:00"),
        (["sunday 12:00 - 13:00"], "Sun 12:30", None),
        (["Wed 12:00-24:00"], "Wed 23:59", None),
        # several: the first that opens
        (["Mon 22:00-23:00", "Mon 20:00-21:00"], "Mon 12:00", "Mon 20:00"),
        (["Mon 22:00-23:00", "Mon 20:00-21:00"], "Mon 20:30", None),
    ],
)
def test_a_window_is_open_or_tells_when_it_opens(windows: list[str], now: str, opens: str | None) -> None:
    assert opens_at(windows, local(now), 0) == (None if opens is None else local(opens))


def test_hours_are_those_of_the_wall_and_the_answer_is_utc() -> None:
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert opens_at(["22:00-06:00"], noon, 3600) == datetime(2026, 11, 23, 21, tzinfo=UTC)
    assert opens_at(["22:00-06:00"], noon, -10 * 3600) is None  # 02:00 there


def test_a_window_opens_at_its_hour_on_both_sides_of_the_change_to_winter_time() -> None:
    berlin = ZoneInfo("Europe/Berlin")  # on 2026-10-25 at 03:00 the clock goes back by an hour
    for day in (24, 25):
        opening = datetime(2026, 10, day, 22, tzinfo=berlin)
        for ahead, is_open in ((timedelta(minutes=-1), False), (timedelta(0), True)):
            at = (opening + ahead).astimezone(UTC)
            offset = at.astimezone(berlin).utcoffset()
            assert offset is not None
            assert (opens_at(["22:00-06:00"], at, round(offset.total_seconds())) is None) is is_open


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("22-06", "22 is not a time"),
        ("at night", "not of the form"),
        ("25:00-06:00", "25:00"),
        ("22:60-06:00", "22:60"),
        ("24:01-06:00", "24:01"),
        ("24:00-06:00", "write 00:00"),
        ("06:00-06:00", "00:00-24:00"),
        ("Mon-Fro 06:00-07:00", "Fro is not a day"),
        ("Mon-Wed-Fri 06:00-07:00", "not a range"),
        (", 06:00-07:00", "nothing is not a day"),
    ],
)
def test_what_is_no_window_says_what_to_write(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        checked(text)
