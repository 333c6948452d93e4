"""How a bandwidth is written."""

from __future__ import annotations

import pytest

from plotman.control.rates import rate_of


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
def test_a_rate_reads_as_people_write_it(text: str, bytes_s: int | None) -> None:
    assert rate_of(text) == bytes_s


@pytest.mark.parametrize("text", ["fast", "-3M", "5", "0", "1T"])
def test_what_is_no_rate_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="off"):
        rate_of(text)
