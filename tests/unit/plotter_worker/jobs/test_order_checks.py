"""Orders that a plotter host carries out, and those that it does not."""

from __future__ import annotations

from typing import Any

import pytest

from common.errors import OrderRefused
from common.model.messages import PlotOrder
from common.model.snapshot import DirState, Hold, PlotterSnapshot
from plotter_worker.jobs.order_checks import PlotDirectories, directories_for
from tests.support.paper import GB
from tests.unit.beat.builders import at, directory, job, plotter, tmp_dir

DST = (directory("/dst1"), directory("/dst2"))


def host(**fields: Any) -> PlotterSnapshot:
    given: dict[str, Any] = {
        "start_token": "a:5",
        "dst_dirs": DST,
        "global_max_jobs": 3,
        "global_stagger_s": 6,
    }
    tmp_dirs = fields.pop("tmp_dirs", (tmp_dir("/tmp1", max_jobs=2), tmp_dir("/tmp2", max_jobs=2)))
    return plotter(*tmp_dirs, **{**given, **fields})


def order(**fields: Any) -> PlotOrder:
    return PlotOrder(**{"host": "h", "tmp": "/tmp1", "dst": "/dst1", "start_token": "a:5", **fields})


def test_an_order_that_fits_is_carried_out_where_it_says() -> None:
    assert directories_for(order(), host(), at(0)) == PlotDirectories("/tmp1", None, "/dst1")
    assert directories_for(order(expires_at=at(1)), host(last_start_at=at(-6)), at(0)).tmp == "/tmp1"


def test_a_person_s_order_goes_where_there_is_room() -> None:
    jobs = (job("/tmp1", dst="/dst1"), job("/tmp1", dst="/dst1"))
    asked = PlotOrder(host="h")
    # An operator may start a plot in spite of pause and stagger.
    busy = host(jobs=jobs, plotting=False, last_start_at=at(-1))
    assert directories_for(asked, busy, at(0)) == PlotDirectories("/tmp2", None, "/dst2")


def test_directories_may_be_written_with_a_slash_at_the_end() -> None:
    asked = PlotOrder(host="h", tmp="/tmp2/", dst="/dst1/")
    assert directories_for(asked, host(), at(0)) == PlotDirectories("/tmp2", None, "/dst1")


def test_a_person_s_order_passes_over_what_is_full_or_cannot_be_used() -> None:
    asked = PlotOrder(host="h")
    full = tmp_dir("/tmp1", free_gb=300, device="a")
    other = tmp_dir("/tmp2", free_gb=300, device="b")
    taken = (job("/tmp1", dst="/dst9", tmp_to_come_bytes=100 * GB),)
    gone = (directory("/dst1", state=DirState.MISSING), directory("/dst2", free_gb=1), directory("/dst3"))
    assert (
        directories_for(asked, host(tmp_dirs=(full, other), jobs=taken, dst_dirs=gone), at(0)).tmp == "/tmp2"
    )
    assert (
        directories_for(asked, host(tmp_dirs=(full, other), jobs=taken, dst_dirs=gone), at(0)).dst == "/dst3"
    )
    away = tmp_dir("/tmp2", state=DirState.MISSING)
    with pytest.raises(OrderRefused, match=r"No tmp directory has the 256\.0 GB that another plot takes"):
        directories_for(asked, host(tmp_dirs=(full,), jobs=taken), at(0))
    assert directories_for(asked, host(tmp_dirs=(away, tmp_dir("/tmp3")), jobs=taken), at(0)).tmp == "/tmp3"
    # Who names one knows better.
    named = PlotOrder(host="h", tmp="/tmp1")
    assert directories_for(named, host(tmp_dirs=(full,), jobs=taken), at(0)).tmp == "/tmp1"
    assert directories_for(asked, host(tmp_dirs=(full,), jobs=taken, check_room=False), at(0)).tmp == "/tmp1"


@pytest.mark.parametrize(
    ("asked", "fields", "words"),
    [
        ({"start_token": "a:4"}, {}, "start token a:4"),
        ({"start_token": "a:6"}, {}, "start token a:6"),
        ({"start_token": "b:5"}, {}, "start token b:5"),
        ({"expires_at": at(-3)}, {}, "3 s too late"),
        ({}, {"plotting": False, "pause_reason": "for tea"}, "for tea"),
        ({"tmp": "/etc"}, {}, "/etc is no tmp directory"),
        ({"tmp": "/tmp1/../etc"}, {}, "no tmp directory"),
        ({"dst": "/etc"}, {}, "/etc is no dst directory"),
        ({"tmp": "/tmp1"}, {"jobs": (job(), job())}, "/tmp1 has 2 jobs, and its limit is 2"),
        ({"tmp": "/tmp2"}, {"jobs": (job(), job(), job("/tmp2"))}, "global_max_jobs is 3"),
        ({}, {"last_start_at": at(-5)}, "5.0 s ago"),
        ({}, {"jobs": (job("/tmp2", age_s=2, ours=False),)}, "2.0 s ago"),
        ({}, {"jobs": (job("/tmp2"),), "last_start_at": at(-5)}, "5.0 s ago"),
        ({}, {"jobs": (job("/tmp2", age_s=2),), "last_start_at": at(-50)}, "2.0 s ago"),
        ({}, {"dst_dirs": (directory("/dst1", state=DirState.MISSING),)}, "/dst1 is missing"),
        ({}, {"dst_dirs": (directory("/dst1", state=DirState.READ_ONLY),)}, "/dst1 is read-only"),
        ({}, {"tmp_dirs": (tmp_dir("/tmp1", state=DirState.HANGING),)}, "/tmp1 is hanging"),
        ({}, {"tmp2": directory("/t2", state=DirState.NOT_MOUNTED)}, "/t2 is not mounted"),
        ({}, {"tmp_dirs": (tmp_dir("/tmp1", drained=Hold()),)}, "/tmp1 is drained"),
        ({}, {"dst_dirs": (directory("/dst1", drained=Hold()),)}, "/dst1 is drained"),
        ({}, {"tmp2": directory("/t2", drained=Hold())}, "/t2 is drained"),
        ({"start_token": None, "tmp": None}, {"tmp_dirs": (tmp_dir("/tmp1", drained=Hold()),)}, "Every tmp"),
    ],
)
def test_an_order_that_does_not_fit_is_refused_with_the_reason(
    asked: dict[str, Any], fields: dict[str, Any], words: str
) -> None:
    snapshot = host().model_copy(update=fields)
    with pytest.raises(OrderRefused) as refused:
        directories_for(order(**asked), snapshot, at(0))
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"command": "rm -rf /"},
        {"tmp": 5},
        {"start_token": ["a"]},
        {"adopt": "perhaps"},
        {"expires_at": "tomorrow"},
        {"expires_at": "2026-11-22T12:00:00"},
        {"version": "x"},
    ],
)
def test_arguments_that_are_no_order_are_refused_by_name(arguments: dict[str, Any]) -> None:
    with pytest.raises(OrderRefused) as refused:
        PlotOrder.read(host="h", **arguments)
    assert next(iter(arguments)) in str(refused.value)


def test_unknown_free_space_does_not_prevent_an_operators_start() -> None:
    asked = PlotOrder(host="h")
    unknown = tmp_dir("/tmp1", free_gb=None, state=DirState.UNKNOWN)
    assert directories_for(asked, host(tmp_dirs=(unknown,)), at(0)).tmp == "/tmp1"


def test_drained_directories_bind_beat_and_come_last_for_an_operator() -> None:
    drained, dst = directory("/dst1", drained=Hold()), directory("/dst2")
    asked = PlotOrder(host="h")
    assert directories_for(asked, host(dst_dirs=(drained, dst)), at(0)).dst == "/dst2"
    assert directories_for(asked, host(dst_dirs=(drained,)), at(0)).dst == "/dst1"
    tmp = tmp_dir("/tmp1", drained=Hold())
    assert directories_for(asked, host(tmp_dirs=(tmp, tmp_dir("/tmp2"))), at(0)).tmp == "/tmp2"
    named = PlotOrder(host="h", tmp="/tmp1", dst="/dst1")
    where = directories_for(named, host(tmp_dirs=(tmp,), dst_dirs=(drained,)), at(0))
    assert where == PlotDirectories("/tmp1", None, "/dst1")


def test_without_dst_directories_the_plot_stays_where_its_last_phase_writes() -> None:
    asked = PlotOrder(host="h", tmp="/tmp1")
    assert directories_for(asked, host(dst_dirs=()), at(0)).dst == "/tmp1"
    with_tmp2 = host(dst_dirs=(), tmp2=directory("/t2"))
    assert directories_for(asked, with_tmp2, at(0)) == PlotDirectories("/tmp1", "/t2", "/t2")


def test_a_directory_with_exactly_the_space_of_a_plot_takes_it() -> None:
    snapshot = host(tmp_dirs=(tmp_dir("/tmp1", free_gb=256),))
    assert directories_for(PlotOrder(host="h"), snapshot, at(0)).tmp == "/tmp1"
    less = host(tmp_dirs=(tmp_dir("/tmp1", free_gb=255),))
    with pytest.raises(OrderRefused, match="No tmp directory has"):
        directories_for(PlotOrder(host="h"), less, at(0))
    assert directories_for(order(expires_at=at(0)), host(), at(0)).tmp == "/tmp1", "to the last moment"


def test_a_job_gets_the_least_used_gpu_and_none_where_all_are_taken() -> None:
    def gpu(*used: str, asked: PlotOrder) -> str | None:
        jobs = tuple(job("/other", gpu=gpu) for gpu in used)
        return directories_for(asked, host(gpus=("0", "1"), jobs=jobs, global_max_jobs=9), at(0)).gpu

    by_hand = PlotOrder(host="h")
    for asked in (order(), by_hand):
        assert gpu(asked=asked) == "0"
        assert gpu("0", asked=asked) == "1"
        with pytest.raises(OrderRefused, match=r"Every GPU \(0, 1\) has the 1 job that it may have"):
            gpu("0", "1", asked=asked)
    assert directories_for(order(), host(jobs=(job("/other", gpu="0"),)), at(0)).gpu is None
