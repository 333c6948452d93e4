"""On which drives old plots may be replaced, and how much space stays free there."""

from __future__ import annotations

import pytest

from beat.policy.replot.drives import drive_states
from common.model.replot_victims import DriveId
from common.model.snapshot import DirState, DiskHealth, DriveUse, Evacuating, HarvesterSnapshot, Hold
from tests.support.stored import T, drive, harvester


@pytest.mark.parametrize(
    ("snapshot", "closed"),
    [
        (harvester(drive("/1")), None),
        (harvester(drive("/1"), replot=False), "harvester.replot is off on h1"),
        (harvester(drive("/1", use=DriveUse.DISABLED)), "the drive is disabled"),
        (harvester(drive("/1", use=DriveUse.DRAINING)), "the drive is draining"),
        (harvester(drive("/1", drained=Hold())), "the drive is draining"),
        (harvester(drive("/1"), drained=Hold()), "the drive is draining"),
        (harvester(drive("/1", state=DirState.READ_ONLY)), "the drive is read-only"),
        (harvester(drive("/1", state=DirState.UNKNOWN)), "the drive is unknown"),
        (harvester(drive("/1", disk=DiskHealth(names=("sda",), fails=True))), "the disk expects to fail"),
        (harvester(drive("/1", disk=DiskHealth(names=("sda",), fails=False))), None),
        (harvester(drive("/1"), evacuations=(Evacuating(drive="/1", since=T),)), "the drive is evacuated"),
        (harvester(drive("/1"), evacuations=(Evacuating(drive="/2", since=T),)), None),
    ],
    ids=[
        "well", "off", "disabled", "draining", "held", "host held", "read-only", "unknown", "failing",
        "healthy", "evacuated", "other evacuated",
    ],
)  # fmt: skip
def test_plots_stay_on_a_drive_that_its_owner_or_its_state_keeps(
    snapshot: HarvesterSnapshot, closed: str | None
) -> None:
    assert drive_states({"h1": snapshot}, 0)[DriveId("h1", "/1")].closed == closed


@pytest.mark.parametrize(
    ("farms", "own", "margin", "low_water"),
    [(5, None, 0, 5), (5, 3, 0, 3), (5, 0, 0, 0), (5, None, 9, 9), (5, 3, 9, 9)],
)
def test_low_water_is_the_harvesters_own_else_the_farms_and_never_less_than_the_margin(
    farms: int, own: int | None, margin: int, low_water: int
) -> None:
    at = {"h1": harvester(low_water_bytes=own, margin_bytes=margin)}
    assert drive_states(at, farms)[DriveId("h1", "/1")].low_water_bytes == low_water
