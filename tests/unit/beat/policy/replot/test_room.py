"""Which hosts lack the room in which new plots arrive before an old one goes."""

from __future__ import annotations

import pytest

from beat.policy.replot.planner import DriveState, PlotGroup, plan
from beat.policy.replot.room import shortages
from beat.policy.replot.worth import new_plot_bytes
from common.model.plot_class import PlotClass
from common.model.plot_sizes import v1_plot_bytes
from common.model.replot import OldClass
from common.model.replot_victims import DriveId
from tests.support.stored import OG

OLD_BYTES = round(v1_plot_bytes(32))
NEW_BYTES = new_plot_bytes()
A, B = DriveId("h1", "/a"), DriveId("h1", "/b")


def short(states: dict[DriveId, DriveState]) -> list[tuple[str, int, int]]:
    groups = [PlotGroup(A, PlotClass(**OG), "2021-05", 2, 2, 2 * OLD_BYTES)]
    made = plan(groups, states, [OldClass("og", levels=(0,))])
    return [(one.host, one.free_bytes, one.needed_bytes) for one in shortages(made, states)]


@pytest.mark.parametrize(
    ("states", "free_bytes", "drives"),
    [
        ({A: DriveState(OLD_BYTES)}, OLD_BYTES, 1),
        ({A: DriveState(OLD_BYTES + NEW_BYTES - 1)}, OLD_BYTES + NEW_BYTES - 1, 1),
        ({A: DriveState(2 * OLD_BYTES, OLD_BYTES)}, OLD_BYTES, 1),
        ({A: DriveState(OLD_BYTES), B: DriveState(NEW_BYTES)}, OLD_BYTES + NEW_BYTES, 2),
        ({A: DriveState(OLD_BYTES, 0, None, "d"), B: DriveState(OLD_BYTES, 0, None, "d")}, OLD_BYTES, 1),
        ({A: DriveState(0), B: DriveState(9 * OLD_BYTES, 0, "the drive is draining")}, 0, 1),
    ],
    ids=["one", "a byte", "low water", "two drives", "one file system", "draining"],
)
def test_a_host_needs_room_for_an_old_plot_and_a_new_one_on_each_drive(
    states: dict[DriveId, DriveState], free_bytes: int, drives: int
) -> None:
    assert short(states) == [("h1", free_bytes, OLD_BYTES + drives * NEW_BYTES)]


def test_a_host_with_that_room_lacks_none() -> None:
    assert short({A: DriveState(OLD_BYTES + NEW_BYTES)}) == []
    assert short({A: DriveState(0), B: DriveState(OLD_BYTES + 2 * NEW_BYTES)}) == []
    assert short({DriveId("h2", "/a"): DriveState(0)}) == []
