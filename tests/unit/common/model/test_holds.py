"""What an operator may drain, and under which key that is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from common.errors import OrderRefused
from common.model.holds import ALL, HoldOrder, LiftOrder, drains, key_of, lifted
from common.model.snapshot import Hold

DRIVES = ["/farm/1", "/farm/2"]


def test_a_place_has_one_key_however_it_is_spelled() -> None:
    assert key_of(HoldOrder.read(host="h1", dir="/farm/1/"), "drive", DRIVES, {}) == "/farm/1"


def test_without_a_place_the_host_as_a_whole_is_meant() -> None:
    assert key_of(HoldOrder.read(host="h1"), "drive", DRIVES, {}) == ALL


def test_what_left_the_configuration_can_still_be_let_go() -> None:
    assert key_of(HoldOrder.read(host="h1", dir="/farm/9"), "drive", DRIVES, {"/farm/9"}) == "/farm/9"


@pytest.mark.parametrize("place", ["/etc", "farm/1", " "])
def test_what_is_no_place_of_the_host_is_refused_with_those_that_are(place: str) -> None:
    with pytest.raises(OrderRefused, match=r"is not a drive of h1\. It has /farm/1, /farm/2"):
        key_of(HoldOrder.read(host="h1", dir=place), "drive", DRIVES, {})


def test_drains_are_those_that_hold_now_without_pauses_and_the_host_comes_first() -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    over = Hold(until=now - timedelta(seconds=1))
    held = {"/b": Hold(), "plotting": Hold(), "/a": Hold(), "archiving": Hold(), "/c": over, ALL: Hold()}
    assert drains(held, now) == [ALL, "/a", "/b"]


def test_what_was_lifted_is_told_for_people_and_for_programs() -> None:
    order = LiftOrder(host="h1")
    assert lifted(order, ALL, [ALL, "/b"]) == (
        [ALL, ALL],
        "; lifted: h1; still drained: /b",
        {"lifted": ["h1"], "drained": ["/b"]},
    )
    assert lifted(order, "/a", [ALL, "/b"]) == (
        ["/a"],
        "; nothing was drained",
        {"lifted": [], "drained": []},
    )
    everything = LiftOrder(host="h1", everything=True)
    assert lifted(everything, ALL, [ALL, "/b"])[1:] == (
        "; lifted: h1, /b",
        {"lifted": ["h1", "/b"], "drained": []},
    )


def test_everything_and_one_directory_cannot_both_be_meant() -> None:
    with pytest.raises(OrderRefused, match="exclude"):
        LiftOrder.read(host="h1", everything=True, dir="/farm/1")
    with pytest.raises(OrderRefused, match="everything"):
        HoldOrder.read(host="h1", everything=True)
