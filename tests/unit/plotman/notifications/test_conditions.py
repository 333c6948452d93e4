"""What stands in the conditions themselves, whenever they are sent."""

from __future__ import annotations

from datetime import timedelta

import pytest

from common.model.notification_kinds import KINDS
from common.model.snapshot import Wait, Waits
from common.names import Role
from plotman.notifications.conditions import Condition, conditions
from tests.support.full_farm import archiver
from tests.unit.plotman.notifications.test_edges import IDLE, IDLE_S, T, farm


@pytest.mark.parametrize(
    ("waits", "why"),
    [
        (None, "no scheduler decides. "),
        (
            Waits(beat="b", at=T - timedelta(hours=2)),
            "no scheduler decides; the last decision was 2h 0m ago. ",
        ),
        (Waits(beat="b", at=T), "no reason is known"),
        (
            Waits(
                beat="b",
                at=T,
                waits=(
                    *(
                        Wait(host="p", rule="drives", reason="no room", subject=f"/mnt/dst/{plot}")
                        for plot in ("a.plot", "a.plot2", "a.gplot")
                    ),
                    Wait(host="p", rule="paused", reason="paused by hand"),
                ),
            ),
            "p: paused by hand",
        ),
    ],
)
def test_an_idle_farm_says_why(waits: Waits | None, why: str) -> None:
    seen = farm(**IDLE, waits=waits, at=T, leader=None)
    [idle] = [one for one in conditions(seen, frozenset(), IDLE_S) if one.kind == "farm-idle"]
    assert idle.text.startswith("no plot has run for 1h 0m: ")
    assert idle.text.split(": ", 1)[1].startswith(why)


def test_a_farm_whose_plotters_are_all_silent_is_silent_and_not_idle() -> None:
    seen = farm(**IDLE, stale={(Role.PLOTTER, "p")})
    assert "farm-idle" not in {one.kind for one in conditions(seen, frozenset(), IDLE_S)}


@pytest.mark.parametrize(("skew_s", "wrong"), [(-7200, True), (86_400, True), (4.9, False), (-4.9, False)])
def test_a_wrong_clock_is_an_alarm_with_its_cure(skew_s: float, wrong: bool) -> None:
    seen = farm(archivers={"a": archiver("a").model_copy(update={"clock_skew_s": skew_s})})
    [clock] = [one for one in conditions(seen, frozenset(), IDLE_S) if one.kind == "clock-wrong"]
    assert clock.wrong is wrong
    if wrong:
        assert "Redis'. Synchronize both clocks: `timedatectl set-ntp true`" in clock.text


def test_every_condition_is_a_kind_that_people_can_choose() -> None:
    found: list[Condition] = list(conditions(farm(archivers={"a": archiver("a")}), {"plotter@x"}, IDLE_S))
    assert {one.kind for one in found} | {one.back for one in found if one.back} <= KINDS.keys()
