from __future__ import annotations

import pytest

from common.model.snapshot import DiskHealth
from plotman.control.queries.disks import NoSuchHost, as_dict, drives, table
from tests.support.full_farm import drive, harvester
from tests.unit.plotman.metrics.test_families import farm

WELL = DiskHealth(names=("sda",), model="MAKER", fails=False, temperature_c=38, powered_on_h=21915)
FARM = farm(
    harvesters={
        "h1": harvester(
            drive("/farm/1", disk=WELL),
            drive("/farm/2"),
            drive("/farm/3", disk=DiskHealth(names=("sdc",), fails=True)),
            host="h1",
        ),
        "h2": harvester(drive("/farm/1"), host="h2"),
    }
)


def test_disks_that_fail_come_first_and_what_is_not_known_is_a_question_mark() -> None:
    assert table(drives(FARM, "h1", None)).rows == (
        ("h1", "/farm/3", "sdc", "?", "FAILS", "?", "?"),
        ("h1", "/farm/1", "sda", "MAKER", "well", "38 \N{DEGREE SIGN}C", "2.5 years"),
        ("h1", "/farm/2", "?", "?", "?", "?", "?"),
    )


def test_host_and_drive_choose() -> None:
    assert [(host, each.path) for host, each in drives(FARM, None, "/farm/1")] == [
        ("h1", "/farm/1"),
        ("h2", "/farm/1"),
    ]
    with pytest.raises(NoSuchHost, match=r"No harvester is called h9\. Known: h1, h2\."):
        drives(FARM, "h9", None)


def test_as_json_units_are_in_the_names() -> None:
    (disk,) = as_dict(drives(FARM, "h1", "/farm/1"))["disks"]
    assert disk["disk"]["temperature_c"] == 38
    assert disk["disk"]["powered_on_h"] == 21915
