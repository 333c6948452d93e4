"""Rates, ages and times as operators write them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from plotman.control.arguments import age_s, moment, past, rate_of


@pytest.mark.parametrize(
    ("text", "bytes_s"),
    [
        ("80M", 80_000_000),
        ("1.5MB/s", 1_500_000),
        ("500k", 500_000),
        ("2G", 2_000_000_000),
        ("100000", 100_000),
        ("off", 0),
        ("default", None),
    ],
)
def test_a_rate_reads_as_operators_write_it(text: str, bytes_s: int | None) -> None:
    assert rate_of(text) == bytes_s


@pytest.mark.parametrize("text", ["fast", "-3M", "5", "0", "1T"])
def test_what_is_no_rate_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="off"):
        rate_of(text)


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
    with pytest.raises(ValueError, match=r"write HH:MM"):
        moment(text, NOW, BERLIN)


@pytest.mark.parametrize(("text", "seconds"), [("45s", 45), ("1.5 h", 5400), ("3D", 259_200)])
def test_an_age_is_a_number_and_its_unit(text: str, seconds: float) -> None:
    assert age_s(text) == seconds
    assert (NOW - past(text, NOW)).total_seconds() == seconds


def test_a_past_time_may_be_a_date_too() -> None:
    assert past("2026-10-22T00:00+00:00", NOW) == datetime(2026, 10, 22, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "2", "-2h", "h", "infh", "9999999999999d"])
def test_what_is_no_past_time_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="write 90m"):
        past(text, NOW)
