"""Which folder of an archiving target takes a plot."""

from __future__ import annotations

import pytest

from common.model.snapshot import TargetReport, TargetSpace
from common.model.targets import choose, no_room

GB = 10**9
PLOT = 100 * GB


def spaces(**free_gb: float) -> list[TargetSpace]:
    return [TargetSpace(path=f"/{name}", free_bytes=int(gb * GB)) for name, gb in free_gb.items()]


@pytest.mark.parametrize(("index", "expected"), [(0, "/a"), (1, "/c"), (2, "/d"), (3, "/a"), (7, "/c")])
def test_of_the_folders_with_room_by_path_the_one_at_the_index_counted_round(
    index: int, expected: str
) -> None:
    assert choose(spaces(d=500, a=101, b=20, c=400), PLOT, index, {}) == expected


@pytest.mark.parametrize(
    ("free_gb", "fits"), [(100, False), (100.009, False), (100.01, True), (100.02, True)]
)
def test_a_plot_needs_ten_megabytes_beside_it(free_gb: float, fits: bool) -> None:
    assert (choose(spaces(a=free_gb), PLOT, 0, {}) is not None) == fits


def test_bytes_on_their_way_take_up_room() -> None:
    assert choose(spaces(a=250, b=150), PLOT, 0, {"/a": 160 * GB}) == "/b"


def report(name: str = "nas", place: str = "rsync://nas:873/plots", **fields: object) -> TargetReport:
    return TargetReport(name=name, place=place, **fields)  # type: ignore[arg-type]


def test_no_room_is_told_with_both_numbers() -> None:
    told = no_room(report(spaces=tuple(spaces(a=20, b=5))), PLOT, {})
    assert told == "plot needs 100.0 GB; largest free folder of target nas, /a, has 20.0 GB"
    told = no_room(report(spaces=tuple(spaces(a=120))), PLOT, {"/a": 70 * GB})
    assert told.endswith("/a, has 50.0 GB beside 70.0 GB on their way")
    assert "names no folder" in no_room(report(), PLOT, {})
