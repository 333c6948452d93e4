"""No directory is overfilled: what is on its way counts, per file system."""

from __future__ import annotations

from typing import Any

import pytest

from beat.policy.starts.starts import plan_starts
from common.model.snapshot import PlotterSnapshot, Recipe
from tests.unit.beat.builders import GB, K32, T, directory, job, order, plot, plotter, reasons, tmp_dir

WITH_TMP2 = Recipe(plotter="chia", k=32, tmp_bytes=150 * GB, tmp2_bytes=110 * GB, dst_bytes=108 * GB)


def started(snapshot: PlotterSnapshot, *pending: Any) -> int:
    return len(plan_starts(snapshot, pending, T)[0])


def against(snapshot: PlotterSnapshot, *pending: Any) -> list[str]:
    starts, waits = plan_starts(snapshot, pending, T)
    assert not starts
    return reasons(waits)


def roomy(free_gb: float | None, **fields: Any) -> Any:
    """A tmp directory in which nothing but its room is a limit."""
    return tmp_dir(free_gb=free_gb, max_jobs=50, stagger_limit=50, **fields)


@pytest.mark.parametrize(("free_gb", "plots"), [(255, 0), (256, 1), (511, 1), (512, 2), (2559, 9)])
def test_as_many_plots_start_as_tmp_has_room_for(free_gb: int, plots: int) -> None:
    assert started(plotter(roomy(free_gb))) == plots


def test_what_running_jobs_will_still_take_is_spoken_for() -> None:
    snapshot = plotter(roomy(290), jobs=(job(tmp_to_come_bytes=40 * GB),))
    assert against(snapshot) == ["tmp room: needs 256.0 GB, 290.0 GB free, 40.0 GB of it for running plots"]
    assert started(plotter(roomy(296), jobs=(job(tmp_to_come_bytes=40 * GB),))) == 1


def test_an_order_takes_its_whole_peak() -> None:
    assert started(plotter(roomy(511)), order()) == 0
    assert started(plotter(roomy(512)), order()) == 1


def test_the_reason_carries_its_numbers() -> None:
    _, (wait,) = plan_starts(plotter(roomy(290), jobs=(job(tmp_to_come_bytes=40 * GB),)), (), T)
    assert wait.numbers == {"needs_bytes": 256 * GB, "free_bytes": 290 * GB, "spoken_bytes": 40 * GB}
    assert (wait.rule, wait.subject, wait.until) == ("tmp room", "/tmp1", None)


def test_two_directories_on_one_device_share_its_bytes() -> None:
    shared = (roomy(600, path="/tmp1", device="nvme"), roomy(600, path="/tmp2", device="nvme"))
    apart = (roomy(600, path="/tmp1", device="nvme0"), roomy(600, path="/tmp2", device="nvme1"))
    assert started(plotter(*shared)) == 2
    assert started(plotter(*apart)) == 4


def test_of_two_looks_at_one_device_the_smaller_figure_counts() -> None:
    shared = (roomy(600, path="/tmp1", device="nvme"), roomy(500, path="/tmp2", device="nvme"))
    assert started(plotter(*shared)) == 1


def test_a_neighbour_on_the_device_does_not_answer_for_a_directory_that_gave_none() -> None:
    shared = (roomy(None, path="/tmp1", device="nvme"), roomy(256, path="/tmp2", device="nvme"))
    starts, waits = plan_starts(plotter(*shared), (), T)
    assert [start.tmp for start in starts] == ["/tmp2"]
    assert reasons(waits)[0] == "tmp room: needs 256.0 GB, free space is not known"


def test_a_plot_started_by_hand_below_a_tmp_directory_takes_from_its_device() -> None:
    snapshot = plotter(roomy(300), jobs=(job("/tmp1/mine", ours=False, tmp_to_come_bytes=50 * GB),))
    assert started(snapshot) == 0


@pytest.mark.parametrize("where", ["tmp", "dst"])
def test_bytes_that_go_nobody_knows_where_count_everywhere(where: str) -> None:
    lost = job(**{"tmp": "/other", "dst": "/other", where: None, f"{where}_to_come_bytes": 50 * GB})
    dst = directory("/dst1", 150)
    assert started(plotter(roomy(300), jobs=(lost,))) == 0
    assert started(plotter(roomy(9000), jobs=(lost,), dst_dirs=(dst,))) == 0
    assert started(plotter(roomy(9000), dst_dirs=(dst,))) == 1


def test_check_room_off_ends_the_arithmetic_and_not_the_look_at_the_drive() -> None:
    blind = {"check_room": False, "global_max_jobs": 1}
    assert started(plotter(roomy(0), **blind)) == 1
    assert started(plotter(roomy(None), dst_dirs=(directory("/dst1", None),), **blind)) == 1
    assert against(plotter(roomy(0, state="missing"), **blind)) == ["missing"]


def test_room_on_tmp2_is_shared_by_all_tmp_directories() -> None:
    snapshot = plotter(
        roomy(9000, path="/tmp1"),
        roomy(9000, path="/tmp2"),
        tmp2=directory("/ssd", 250),
        recipe=WITH_TMP2,
        jobs=(job(tmp2="/ssd", tmp2_to_come_bytes=30 * GB),),
    )
    starts, waits = plan_starts(snapshot, (), T)
    assert [(start.tmp, start.tmp2) for start in starts] == [("/tmp2", "/ssd"), ("/tmp1", "/ssd")]
    assert reasons(waits) == [
        "tmp2 room: needs 110.0 GB, 250.0 GB free, 250.0 GB of it for running plots in /ssd"
    ]


def test_tmp_and_tmp2_on_one_device_need_the_sum() -> None:
    shared = {"tmp2": directory("/ssd", 259, device="nvme"), "recipe": WITH_TMP2}
    assert against(plotter(roomy(259, device="nvme"), **shared)) == [
        "tmp room: needs 260.0 GB, 259.0 GB free"
    ]


def test_tmp_and_dst_on_one_device_need_the_sum() -> None:
    dst = directory("/dst1", 363, device="nvme")
    assert against(plotter(roomy(363, device="nvme"), dst_dirs=(dst,))) == [
        "dst room: needs 364.0 GB, 363.0 GB free in /dst1"
    ]


def test_a_plot_that_stays_where_it_is_built_needs_no_more_than_its_peak() -> None:
    assert started(plotter(roomy(256), dst_dirs=())) == 1
    assert started(plotter(roomy(256), dst_dirs=(directory("/tmp1", 256),))) == 1
    ram_only = Recipe(plotter="bladebit", k=32, tmp_bytes=0, tmp2_bytes=0, dst_bytes=108 * GB)
    assert against(plotter(roomy(107), dst_dirs=(), recipe=ram_only)) == [
        "dst room: needs 108.0 GB, 107.0 GB free"
    ]


def test_dst_has_room_for_every_plot_in_the_making() -> None:
    in_the_making = tuple(job("/other", dst="/dst1", dst_to_come_bytes=108 * GB) for _ in range(3))
    full = directory("/dst1", 4 * 108 - 1)
    snapshot = plotter(roomy(9000), jobs=in_the_making, dst_dirs=(full,), plots=(plot("a"), plot("b")))
    assert against(snapshot) == [
        "dst room: needs 108.0 GB, 431.0 GB free, 324.0 GB of it for running plots in /dst1; "
        "2 finished plots are not archived yet"
    ]
    fits = plotter(roomy(9000), jobs=in_the_making, dst_dirs=(directory("/dst1", 4 * 108),))
    assert started(fits) == 1


def test_one_round_never_orders_more_than_dst_holds() -> None:
    dsts = (directory("/dst1", 250), directory("/dst2", 120))
    starts, _ = plan_starts(plotter(roomy(9000), dst_dirs=dsts), (), T)
    assert sorted(start.dst or "" for start in starts) == ["/dst1", "/dst1", "/dst2"]


def test_numbers_that_look_alike_are_written_out() -> None:
    recipe = K32.model_copy(update={"tmp_bytes": 256 * GB + 1})
    assert against(plotter(roomy(256), recipe=recipe)) == [
        "tmp room: needs 256000000001 B, 256000000000 B free"
    ]
