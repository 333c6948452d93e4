"""The rules for starts: one row, one situation at time zero."""

from __future__ import annotations

from typing import Any

import pytest

from beat.policy.starts.starts import plan_starts
from common.model.phase import Phase
from common.model.snapshot import Failures, PlotterSnapshot, Wait
from tests.unit.beat.builders import (
    T,
    as_orders,
    at,
    directory,
    job,
    order,
    plotter,
    reasons,
    rules,
    tmp_dir,
)


def tmps(snapshot: PlotterSnapshot, *pending: Any) -> list[str]:
    return [start.tmp for start in plan_starts(snapshot, pending, T)[0]]


def waits(snapshot: PlotterSnapshot, *pending: Any) -> tuple[Wait, ...]:
    return plan_starts(snapshot, pending, T)[1]


def test_an_idle_host_starts_a_plot_and_names_its_start_token() -> None:
    starts, _ = plan_starts(plotter(), (), T)
    assert [(s.host, s.tmp, s.tmp2, s.dst, s.start_token) for s in starts] == [
        ("p1", "/tmp1", None, "/dst1", "a:7")
    ]


def test_one_round_fills_all_tmp_directories_where_there_is_no_stagger() -> None:
    starts, _ = plan_starts(plotter(tmp_dir("/tmp1"), tmp_dir("/tmp2"), tmp_dir("/tmp3")), (), T)
    assert [(s.tmp, s.start_token) for s in starts] == [("/tmp1", "a:7"), ("/tmp2", "a:8"), ("/tmp3", "a:9")]


def test_one_round_starts_one_plot_per_stagger() -> None:
    snapshot = plotter(tmp_dir("/tmp1"), tmp_dir("/tmp2"), global_stagger_s=1800)
    assert tmps(snapshot) == ["/tmp1"]
    assert "stagger 0s/1800s" in reasons(waits(snapshot))


def test_one_round_starts_no_more_plots_than_there_are_gpus_and_orders_take_one_each() -> None:
    snapshot = plotter(*(tmp_dir(f"/tmp{number}") for number in range(5)), gpus=("0", "1"), jobs_per_gpu=2)
    starts, after = plan_starts(snapshot, (), T)
    assert len(starts) == 4
    assert "GPU jobs 4/4" in reasons(after)
    assert plan_starts(snapshot, as_orders(starts, T), T) == ((), after)


HOST = [
    # what the host is like; what stands against a start
    ({"jobs": (job(age_s=1623),), "global_stagger_s": 1800}, "stagger 1623s/1800s"),
    ({"jobs": (job("/other", age_s=1800),), "global_stagger_s": 1800}, None),
    ({"jobs": (job(age_s=9000), job(age_s=5)), "global_stagger_s": 6}, "stagger 5s/6s"),
    ({"jobs": (job("/other", age_s=-4),), "global_stagger_s": 30}, "stagger 0s/30s"),
    # Noted before the host's clock was set back by two hours: the stagger does not last until that time.
    ({"jobs": (job("/other", age_s=-7200),), "last_start_at": at(7200), "global_stagger_s": 30}, None),
    # The host's clock is 400 s ahead of ours: its job is 20 s old.
    ({"jobs": (job(age_s=-380),), "at": at(400), "global_stagger_s": 30}, "stagger 20s/30s"),
    ({"jobs": (job("/other"),) * 4, "global_max_jobs": 4}, "max jobs 4/4"),
    ({"jobs": (job("/other"),) * 3, "global_max_jobs": 4}, None),
    ({"jobs": (job("/other", ours=False),), "global_max_jobs": 1}, "max jobs 1/1"),
    ({"jobs": (job("/other", gpu="0"), job("/other", gpu="1")), "gpus": ("0", "1")}, "GPU jobs 2/2"),
    ({"jobs": (job("/other", gpu=""),), "gpus": ("0", "1"), "jobs_per_gpu": 1}, "GPU jobs 2/2"),
    ({"jobs": (job("/other", gpu="0"),) * 2, "gpus": ("0", "1")}, None),
    ({"jobs": (job("/other", gpu="0"),), "gpus": ("0",), "jobs_per_gpu": 2}, None),
    ({"jobs": (job("/other", gpu="0"),)}, None),
    ({"plotting": False, "pause_reason": "maintenance"}, "maintenance"),
    ({"plotting": False, "global_max_jobs": 0}, "plotting is paused"),
    ({"starts_left": 0}, "plotting pauses after 0 more plots; ordered: 0"),
    (
        {"failures": Failures(consecutive=3, last_at=at(-9999), last_reason="exit 1")},
        "3 plotters in a row died at once (last: exit 1); plotting is stopped until "
        "`plotman unpause plotting --host p1`",
    ),
    (
        {"failures": Failures(consecutive=1, last_at=at(-17))},
        "1 of 3 plotters in a row died at once; the next try follows after a pause",
    ),
    ({"failures": Failures(consecutive=1, last_at=at(-60))}, None),
    (
        {"failures": Failures(consecutive=2, last_at=at(-60))},
        "2 of 3 plotters in a row died at once; the next try follows after a pause",
    ),
    ({"failures": Failures(consecutive=2, last_at=at(-240))}, None),
    (
        {"failures": Failures(consecutive=1)},
        "1 of 3 plotters in a row died at once; when is not known: "
        "`plotman unpause plotting --host p1` continues",
    ),
    (
        {"failures": Failures(consecutive=1, last_at=at(-60)), "jobs": (job("/other", proven=False),)},
        "1 of 3 plotters in a row died at once; 1 on trial, the next starts when it has begun to plot",
    ),
    # Not ours, so never on trial; ours, and seen to plot.
    (
        {
            "failures": Failures(consecutive=1, last_at=at(-60)),
            "jobs": (job("/other", ours=False, proven=False),),
        },
        None,
    ),
    ({"failures": Failures(consecutive=1, last_at=at(-60)), "jobs": (job("/other"),)}, None),
    (
        {"failures": Failures(consecutive=600, last_at=T), "failure_limit": 1000},
        "the next try follows after a pause",
    ),
]


@pytest.mark.parametrize(("host", "against"), HOST)
def test_rules_for_the_host_as_a_whole(host: dict[str, Any], against: str | None) -> None:
    starts, found = plan_starts(plotter(**{"jobs": (job("/other"),), **host}), (), T)
    if against is None:
        # What holds after the start does not matter here.
        assert starts
    else:
        assert not starts
        assert any(against in wait.reason and wait.subject is None for wait in found), reasons(found)


@pytest.mark.parametrize(
    ("host", "until"),
    [
        ({"jobs": (job("/other", age_s=1623),), "global_stagger_s": 1800}, at(177)),
        ({"failures": Failures(consecutive=2, last_at=at(-60))}, at(180)),
        ({"jobs": (job("/other"),), "global_max_jobs": 1}, None),
        ({"plotting": False}, None),
    ],
)
def test_a_wait_that_time_alone_ends_says_until_when(host: dict[str, Any], until: Any) -> None:
    assert [wait.until for wait in waits(plotter(**host))] == [until]


def test_a_host_names_all_rules_that_stop_it_at_once() -> None:
    snapshot = plotter(
        tmp_dir("/tmp1", stagger_limit=1),
        tmp_dir("/tmp2"),
        jobs=(job("/tmp1", age_s=10),),
        global_stagger_s=60,
        global_max_jobs=1,
    )
    assert rules(waits(snapshot)) == [("max jobs", None), ("stagger", None), ("tmp phase", "/tmp1")]


def test_after_a_failure_one_plot_is_tried_at_a_time() -> None:
    snapshot = plotter(tmp_dir("/tmp1"), tmp_dir("/tmp2"), failures=Failures(consecutive=1, last_at=at(-100)))
    assert tmps(snapshot) == ["/tmp1"]


def test_a_drain_after_two_plots_orders_two() -> None:
    snapshot = plotter(tmp_dir("/tmp1"), tmp_dir("/tmp2"), tmp_dir("/tmp3"), starts_left=2)
    assert tmps(snapshot) == ["/tmp1", "/tmp2"]
    assert tmps(snapshot, order("/tmp3")) == ["/tmp1"]


TMP = [
    # jobs in /tmp1; what is special of it; why it takes no more (None: it takes one)
    ((), {}, None),
    (("1:7",), {}, "tmp phase: 1 of 1 job before 2:1"),
    (("2:1",), {}, None),
    (("3:1", "2:0"), {}, "tmp phase: 1 of 2 jobs before 2:1"),
    (("3:1", "2:0"), {"stagger_limit": 2}, None),
    (("1:1", "2:0"), {"stagger_limit": 2}, "tmp phase: 2 of 2 jobs before 2:1, limit 2"),
    (("10:0",), {"stagger_phase": Phase(9, 0)}, None),  # phases are numbers, not text
    (("3:1",) * 4, {}, "tmp max jobs 4/4"),
    (("3:1",) * 4, {"max_jobs": 5}, None),
    # A job whose phase nobody knows is not known to be past anything.
    ((None,), {}, "tmp phase: 1 of 1 job before 2:1 (1 of unknown phase)"),
    (("3:1", None), {"max_jobs": 2}, "tmp max jobs 2/2"),
    ((), {"state": "missing"}, "missing"),
    ((), {"state": "not mounted"}, "not mounted"),
    ((), {"state": "read-only"}, "read-only"),
    ((), {"state": "hanging"}, "hanging"),
    ((), {"state": "unknown"}, "unknown"),
    ((), {"free_gb": None}, "tmp room: needs 256.0 GB, free space is not known"),
    ((), {"free_gb": 120.3}, "tmp room: needs 256.0 GB, 120.3 GB free"),
    ((), {"free_gb": 256}, None),
    (
        (),
        {"free_gb": 120.3, "total_bytes": 200 * 10**9},
        "tmp /tmp1 is too small: a plot needs 256.0 GB, and its drive has 200.0 GB in all",
    ),
    ((), {"free_gb": 120.3, "total_bytes": 256 * 10**9}, "tmp room: needs 256.0 GB, 120.3 GB free"),
]


@pytest.mark.parametrize(("phases", "special", "against"), TMP)
def test_rules_for_a_tmp_directory(
    phases: tuple[str | None, ...], special: dict[str, Any], against: str | None
) -> None:
    jobs = tuple(job("/tmp1", phase) for phase in phases)
    starts, found = plan_starts(plotter(tmp_dir("/tmp1", **special), jobs=jobs), (), T)
    if against is None:
        assert starts
    else:
        assert not starts
        assert [(wait.subject, wait.reason) for wait in found] == [("/tmp1", against)]


def test_a_job_without_a_known_tmp_counts_in_each() -> None:
    snapshot = plotter(tmp_dir("/tmp1"), tmp_dir("/tmp2"), jobs=(job(tmp=None, phase=None),))
    assert rules(waits(snapshot)) == [("tmp phase", "/tmp1"), ("tmp phase", "/tmp2")]


def test_a_job_that_uses_no_tmp_counts_in_none() -> None:
    assert tmps(plotter(jobs=(job(tmp="", phase="1:1"),))) == ["/tmp1"]


def test_a_tmp_directory_with_a_slash_at_its_end_is_the_same() -> None:
    assert tmps(plotter(tmp_dir("/tmp1"), jobs=(job("/tmp1/"),))) == []
    assert tmps(plotter(tmp_dir("/tmp1/"), jobs=(job("/tmp1"),))) == []


ORDER = [
    # jobs as (tmp, phase); which of /tmp1, /tmp2, /tmp3 gets the one plot that may start
    ((), "/tmp1"),
    ((("/tmp1", "4:1"),), "/tmp2"),  # a directory without jobs comes first
    ((("/tmp1", "2:1"), ("/tmp2", "3:2"), ("/tmp3", "3:1")), "/tmp2"),
    # The least advanced job counts: /tmp1's is at 2:2, /tmp3's at 2:3.
    ((("/tmp1", "4:9"), ("/tmp1", "2:2"), ("/tmp2", "2:1"), ("/tmp3", "2:3")), "/tmp3"),
    ((("/tmp1", "3:1"), ("/tmp2", "3:1"), ("/tmp3", "3:1")), "/tmp1"),  # equals: as configured
]


@pytest.mark.parametrize(("running", "first"), ORDER)
def test_the_most_advanced_tmp_directory_comes_first(
    running: tuple[tuple[str, str], ...], first: str
) -> None:
    jobs = tuple(job(tmp, phase) for tmp, phase in running)
    dirs = (tmp_dir("/tmp1"), tmp_dir("/tmp2"), tmp_dir("/tmp3"))
    assert tmps(plotter(*dirs, jobs=jobs, global_stagger_s=60)) == [first]


def test_a_job_of_unknown_phase_is_the_least_advanced_where_it_is_let_in() -> None:
    snapshot = plotter(
        tmp_dir("/tmp1", stagger_limit=2),
        tmp_dir("/tmp2", stagger_limit=2),
        jobs=(job("/tmp1", None), job("/tmp2", "0:0")),
        global_stagger_s=60,
    )
    assert tmps(snapshot) == ["/tmp2"]


ORDERS = [
    # an order that was sent; whether /tmp1 gets another
    (order(), False),
    (order(expires_at=at(0)), True),  # expired
    (order(start_token="a:6"), True),  # its start token has passed
    (order(start_token="b:7"), True),  # of the host's former incarnation
    (order(start_token="a:8"), False),  # due after another that is not here any more
    (order("/tmp2"), True),
]


@pytest.mark.parametrize(("pending", "another"), ORDERS)
def test_an_order_counts_as_a_job_until_it_is_void(pending: Any, another: bool) -> None:
    assert tmps(plotter(), pending) == (["/tmp1"] if another else [])


def test_an_order_that_is_seen_running_counts_once_at_any_start_token() -> None:
    snapshot = plotter(jobs=(job("/tmp1", "2:1", task_id="order a:7"),), global_max_jobs=2)
    assert tmps(snapshot, order(start_token="a:7")) == ["/tmp1"]


def test_an_order_counts_for_the_stagger_from_when_it_was_sent() -> None:
    snapshot = plotter(tmp_dir("/tmp1"), tmp_dir("/tmp2"), global_stagger_s=10)
    assert tmps(snapshot, order("/tmp1", sent_s=-9)) == []
    assert tmps(snapshot, order("/tmp1", sent_s=-10)) == ["/tmp2"]


def test_new_orders_take_the_start_tokens_that_pending_ones_leave() -> None:
    snapshot = plotter(tmp_dir("/tmp1"), tmp_dir("/tmp2"), tmp_dir("/tmp3"))
    starts, _ = plan_starts(snapshot, [order("/tmp2", "a:8")], T)
    assert [(start.tmp, start.start_token) for start in starts] == [("/tmp1", "a:7"), ("/tmp3", "a:9")]


def test_deciding_again_with_what_was_ordered_gives_no_more_and_the_same_reasons() -> None:
    snapshot = plotter(tmp_dir("/tmp1"), tmp_dir("/tmp2", free_gb=300), global_stagger_s=0)
    starts, found = plan_starts(snapshot, (), T)
    assert starts
    assert plan_starts(snapshot, as_orders(starts, T), T) == ((), found)


def test_tmp2_stops_the_whole_host() -> None:
    broken = plotter(tmp2=directory("/ssd", state="not mounted"))
    assert [(wait.subject, wait.reason) for wait in waits(broken)] == [(None, "tmp2 /ssd: not mounted")]


def test_a_host_without_tmp_directories_says_so() -> None:
    snapshot = plotter().model_copy(update={"tmp_dirs": ()})
    assert reasons(waits(snapshot)) == ["no tmp directory is configured: add one to directories.tmp"]
