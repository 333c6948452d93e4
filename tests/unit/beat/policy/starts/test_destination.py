"""Which dst directory a new plot goes to."""

from __future__ import annotations

from typing import Any

import pytest

from beat.policy.starts.starts import plan_starts
from tests.unit.beat.builders import T, directory, job, plotter, reasons, tmp_dir


def dsts(**fields: Any) -> list[str | None]:
    """Where the one plot goes that a host with /tmp1 may start."""
    return [start.dst for start in plan_starts(plotter(tmp_dir("/tmp1"), **fields), (), T)[0]]


CHOICE = [
    # phases of the plots on their way to /dst1, /dst2, /dst3; which one is taken
    ((), (), (), "/dst1"),
    (("1:1",), (), (), "/dst2"),
    (("3:1",), ("4:1",), (), "/dst3"),
    (("3:1",), ("4:1",), ("2:1",), "/dst2"),
    # The youngest incoming plot counts: /dst1's is at 1:1.
    (("1:1", "4:9"), ("2:1",), ("1:9",), "/dst2"),
    # A plot of unknown phase may be the youngest of all.
    ((None,), ("0:0",), (None, "4:1"), "/dst2"),
    (("3:1", "3:1"), ("3:1",), ("3:1", "3:1"), "/dst2"),  # equals: the one with fewer
    (("3:1",), ("3:1",), ("3:1",), "/dst1"),  # all equal: as configured
]


@pytest.mark.parametrize(("one", "two", "three", "taken"), CHOICE)
def test_a_dst_that_no_plot_heads_for_else_the_one_whose_youngest_is_most_advanced(
    one: tuple[str | None, ...], two: tuple[str | None, ...], three: tuple[str | None, ...], taken: str
) -> None:
    heading = (("/dst1", one), ("/dst2", two), ("/dst3/", three))
    jobs = tuple(job("/other", phase, dst=dst) for dst, phases in heading for phase in phases)
    three_dirs = tuple(directory(path) for path in ("/dst1", "/dst2", "/dst3"))
    assert dsts(jobs=jobs, dst_dirs=three_dirs) == [taken]


def test_of_several_that_no_plot_heads_for_the_one_with_the_most_room() -> None:
    dirs = (directory("/dst1", 500), directory("/dst2", 700), directory("/dst3", 600))
    assert dsts(dst_dirs=dirs) == ["/dst2"]


def test_a_tmp_directory_that_is_also_a_dst_keeps_its_plot() -> None:
    jobs = (job("/other", dst="/tmp1"),)
    assert dsts(dst_dirs=(directory("/dst1"), directory("/tmp1/")), jobs=jobs) == ["/tmp1/"]


def test_with_no_dst_configured_the_plot_stays_in_tmp2_or_else_in_tmp() -> None:
    assert dsts(dst_dirs=()) == ["/tmp1"]
    assert dsts(dst_dirs=(), tmp2=directory("/ssd")) == ["/ssd"]


def test_a_dst_that_cannot_be_written_to_or_is_full_is_passed_over() -> None:
    dirs = (
        directory("/dst1", state="missing"),
        directory("/dst2", None),
        directory("/dst3", 107),
        directory("/dst4", 108),
    )
    assert dsts(dst_dirs=dirs) == ["/dst4"]


def test_with_no_dst_at_all_the_reason_tells_of_each() -> None:
    dirs = (
        directory("/dst1", state="not mounted"),
        directory("/dst2", 20),
        directory("/dst3", 50),
        directory("/dst4", state="read-only"),
    )
    starts, waits = plan_starts(plotter(tmp_dir("/tmp1"), dst_dirs=dirs), (), T)
    assert not starts
    assert [(wait.rule, wait.subject) for wait in waits] == [("dst room", "/tmp1")]
    assert reasons(waits) == [
        "dst room: needs 108.0 GB, 50.0 GB free in /dst3, the most of 2 directories; "
        "/dst1: not mounted; /dst4: read-only"
    ]


def test_with_only_broken_dsts_each_is_named() -> None:
    dirs = (directory("/dst1", state="missing"), directory("/dst2", state="hanging"))
    _, waits = plan_starts(plotter(tmp_dir("/tmp1"), dst_dirs=dirs), (), T)
    assert [(wait.rule, wait.reason) for wait in waits] == [
        ("dst state", "dst /dst1: missing; /dst2: hanging")
    ]


def test_a_dst_whose_room_is_not_known_is_waited_for() -> None:
    _, waits = plan_starts(plotter(tmp_dir("/tmp1"), dst_dirs=(directory("/dst1", None),)), (), T)
    assert reasons(waits) == ["dst room: needs 108.0 GB, free space is not known in /dst1"]
