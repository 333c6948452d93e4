"""Sizes and durations as users read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.model.units import (
    counted,
    human_bytes,
    human_bytes_alike,
    human_bytes_apart,
    human_duration,
    human_seconds,
)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (4_100_000, "4.1 MB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (256_600_000_000, "256.6 GB"),
        (18_000_000_000_000, "18.0 TB"),
        (-1_500, "-1.5 kB"),
        (5 * 10**21, "5000.0 EB"),
    ],
)
def test_a_size_is_written_in_the_decimal_units_that_drives_are_sold_in(size_bytes: int, text: str) -> None:
    assert human_bytes(size_bytes) == text


@pytest.mark.parametrize(
    ("one", "other", "texts"),
    [
        (4_100_000, 2_000_000, ("4.1 MB", "2.0 MB")),
        (4_100_000, 4_098_000, ("4.100 MB", "4.098 MB")),
        (4_100_000, 4_099_999, ("4100000 B", "4099999 B")),
        (4_100_000, 4_100_000, ("4.1 MB", "4.1 MB")),
    ],
)
def test_two_sizes_that_differ_look_different(one: int, other: int, texts: tuple[str, str]) -> None:
    assert human_bytes_apart(one, other) == texts


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [
        (-5, "0s"),
        (0.9, "0s"),
        (59, "59s"),
        (60, "1m 0s"),
        (5000, "1h 23m"),
        (86_400 + 3 * 3600 + 59 * 60, "1d 3h"),
    ],
)
def test_a_duration_shows_its_two_largest_units(duration_s: float, text: str) -> None:
    assert human_duration(duration_s) == text


@given(st.floats() | st.integers() | st.integers(-(10**400), 10**400))
def test_a_number_that_is_no_size_or_duration_is_a_question_mark(number: float) -> None:
    texts = {human_bytes(number), human_duration(number), human_seconds(number)}
    assert ("?" in texts) == (not -1e30 < number < 1e30)
    assert max(map(len, texts)) < 50


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 10**400])
def test_such_numbers_are_question_marks(number: float) -> None:
    assert {human_bytes(number), human_duration(number), human_seconds(number)} == {"?"}


@pytest.mark.parametrize(("duration_s", "text"), [(1800.0, "1800s"), (6, "6s"), (4.5, "4.5s")])
def test_seconds_to_be_compared_stay_seconds(duration_s: float, text: str) -> None:
    assert human_seconds(duration_s) == text


@pytest.mark.parametrize(
    ("count", "words", "expected"),
    [
        (0, ("plot",), "0 plots"),
        (1, ("plot",), "1 plot"),
        (2, ("plot",), "2 plots"),
        (1, ("more plot",), "1 more plot"),
        (1, ("directory", "directories"), "1 directory"),
        (3, ("directory", "directories"), "3 directories"),
    ],
)
def test_one_thing_has_no_plural(count: int, words: tuple[str, ...], expected: str) -> None:
    assert counted(count, *words) == expected


@pytest.mark.parametrize(
    ("sizes_bytes", "texts"),
    [
        ([120_500_000_000, 9 * 10**9, 3_000_000, 0, None], ["120.5 GB", "9.0 GB", "<0.1 GB", "0 GB", "?"]),
        ([18 * 10**12, 200 * 10**9], ["18.0 TB", "0.2 TB"]),
        ([999_950, 500_000], ["1.0 MB", "0.5 MB"]),
        ([10**20, 7 * 10**9, 120 * 10**9], ["100.0 EB", "7.0 GB", "120.0 GB"]),
        ([2 * 10**12, 0, 0, 0], ["2.0 TB", "0 TB", "0 TB", "0 TB"]),
        ([-5 * 10**9, 9_999 * 10**9, 5 * 10**9], ["-5.0 GB", "9999.0 GB", "5.0 GB"]),
        ([0, None], ["0 B", "?"]),
        ([float("nan"), 10**40, 5], ["?", "?", "5 B"]),
        ([], []),
    ],
)  # fmt: skip
def test_sizes_of_a_column_have_one_unit(sizes_bytes: list[float | None], texts: list[str]) -> None:
    assert human_bytes_alike(sizes_bytes) == texts
