"""What a person may drain, and under which key that is kept."""

from __future__ import annotations

import pytest

from common.errors import OrderRefused
from common.holds import ALL, key_of, read_order

DRIVES = ["/farm/1", "/farm/2"]


def test_a_place_has_one_key_however_it_is_spelled() -> None:
    assert key_of(read_order("h1", {"dir": "/farm/1/"}), "drive", DRIVES, {}) == "/farm/1"


def test_without_a_place_the_host_as_a_whole_is_meant() -> None:
    assert key_of(read_order("h1", {}), "drive", DRIVES, {}) == ALL


def test_what_left_the_configuration_can_still_be_let_go() -> None:
    assert key_of(read_order("h1", {"dir": "/farm/9"}), "drive", DRIVES, {"/farm/9"}) == "/farm/9"


@pytest.mark.parametrize("place", ["/etc", "farm/1", " "])
def test_what_is_no_place_of_the_host_is_refused_with_those_that_are(place: str) -> None:
    with pytest.raises(OrderRefused, match=r"no drive of h1\. It has /farm/1, /farm/2"):
        key_of(read_order("h1", {"dir": place}), "drive", DRIVES, {})
