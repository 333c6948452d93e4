"""Limits that hold across all plotters of the farm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from beat.policy.decision import Decision
from beat.policy.memory import Memory
from beat.policy.starts.farm_rules import FarmLimits
from common.model.pending import PendingOrder
from common.model.snapshot import Failures, PlotterSnapshot
from tests.unit.beat.builders import T, as_orders, at, decided, job, order, plotter, tmp_dir

TWO_DIRS = (tmp_dir("/tmp1"), tmp_dir("/tmp2"))


def farm(*ages_s: float) -> dict[str, PlotterSnapshot]:
    """One host for each age, with two tmp directories, the first of them with a job of that age."""
    return {
        f"p{number}": plotter(*TWO_DIRS, host=f"p{number}", jobs=(job("/tmp1", "3:1", age),))
        for number, age in enumerate(ages_s, 1)
    }


def under(
    plotters: Mapping[str, PlotterSnapshot],
    limits: FarmLimits,
    orders: Mapping[str, Sequence[PendingOrder]] | None = None,
    silent: Mapping[str, PlotterSnapshot] | None = None,
) -> Decision:
    return decided(plotters, {}, {}, orders or {}, {}, T, limits, lost=silent)


@pytest.mark.parametrize(
    ("limits", "starts"),
    [
        (FarmLimits(), 6),
        (FarmLimits(max_jobs=100), 6),
        (FarmLimits(max_jobs=5), 2),
        (FarmLimits(max_jobs=3), 0),
        (FarmLimits(max_jobs=0), 0),
        (FarmLimits(stagger_s=60), 1),
        (FarmLimits(stagger_s=601), 0),
    ],
)
def test_no_more_start_than_the_farm_as_a_whole_allows(limits: FarmLimits, starts: int) -> None:
    plotters = farm(600, 700, 800)
    assert len(under(plotters, limits).starts) == starts


def test_the_host_that_has_waited_longest_gets_the_one_start_that_is_left() -> None:
    assert [start.host for start in under(farm(600, 800, 700), FarmLimits(max_jobs=4)).starts] == ["p2"]


def test_every_host_is_told_why_with_both_numbers_and_until_when() -> None:
    waits = under(farm(600, 700), FarmLimits(max_jobs=2, stagger_s=900)).waits
    told = {(wait.host, wait.reason, wait.until) for wait in waits}
    for host in ("p1", "p2"):
        assert (host, "farm max jobs 2/2", None) in told
        assert (host, "farm stagger 600s/900s", at(300)) in told


def test_an_order_that_is_not_seen_yet_counts_wherever_it_went() -> None:
    ordered = {"p1": [order("/tmp2")]}
    assert not under(farm(600, 700), FarmLimits(max_jobs=3), ordered).starts


def test_deciding_again_with_the_starts_as_orders_starts_nothing_more() -> None:
    plotters = farm(600, 700, 800)
    limits = FarmLimits(max_jobs=5)
    first = under(plotters, limits)
    sent: dict[str, list[PendingOrder]] = {}
    for pending, start in zip(as_orders(first.starts, T), first.starts, strict=True):
        sent.setdefault(start.host, []).append(pending)
    assert not under(plotters, limits, sent).starts


def silent(seconds: float, *etas_s: float | None, **fields: Any) -> dict[str, PlotterSnapshot]:
    """A host that was silent for this time, with old jobs that were to end this time later."""
    jobs = tuple(job("/tmp1", "3:1", age_s=90_000, eta_s=eta_s) for eta_s in etas_s)
    return {"quiet": plotter(host="quiet", at=at(-seconds), jobs=jobs, **fields)}


HOUR = 3600
SILENT = [
    # seconds of silence, ETA of its one job then; whether it counts
    (60, 600, True),
    (HOUR, 2 * HOUR, True),
    (3 * HOUR, 2 * HOUR, True),  # an ETA is a guess
    (4.6 * HOUR, 2 * HOUR, False),
    (600, 0, True),  # its last copy may take a while
    (HOUR, 0, False),
    (23 * HOUR, None, True),  # nobody knows when it ends
    (25 * HOUR, None, False),
    (25 * HOUR, 1000 * HOUR, False),  # a machine that is off for good does not stop the farm
]


@pytest.mark.parametrize(("seconds", "eta_s", "counts"), SILENT)
def test_plots_of_a_silent_host_count_until_they_must_have_ended(
    seconds: float, eta_s: float | None, counts: bool
) -> None:
    decision = under(farm(600), FarmLimits(max_jobs=2), silent=silent(seconds, eta_s))
    assert len(decision.starts) == (0 if counts else 1)
    assert {start.host for start in decision.starts} <= {"p1"}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, "farm max jobs 3/3 (2 of them on quiet, which is silent)"),
        ({"r": 1}, "farm max jobs 4/3 (3 of them on quiet, r, which are silent)"),
        ({"r": 0}, "farm max jobs 3/3 (2 of them on quiet, which is silent)"),
        (
            {"r": 1, "s": 1, "t": 1},
            "farm max jobs 6/3 (5 of them on quiet, r, s and 1 more, which are silent)",
        ),
    ],
)
def test_a_wait_says_how_many_of_the_jobs_are_on_hosts_that_are_silent(
    more: dict[str, int], reason: str
) -> None:
    quiet = silent(60, 600, 600)
    others = {
        host: plotter(host=host, at=at(-60), jobs=(job(age_s=90_000, eta_s=600),) * jobs)
        for host, jobs in more.items()
    }
    waits = under(farm(600), FarmLimits(max_jobs=3), silent=quiet | others).waits
    assert reason in [wait.reason for wait in waits if wait.host == "p1"]
    assert {wait.host for wait in waits} == {"p1"}


def test_the_last_start_on_a_silent_host_counts_for_the_stagger_of_the_farm() -> None:
    quiet = silent(60, last_start_at=at(-100))
    assert not under(farm(600), FarmLimits(stagger_s=101), silent=quiet).starts
    assert under(farm(600), FarmLimits(stagger_s=100), silent=quiet).starts


def test_without_limits_across_hosts_nobody_waits_for_a_silent_one() -> None:
    assert under(farm(600), FarmLimits(), silent=silent(60, 600)) == under(farm(600), FarmLimits())


def many(host: str, jobs: int, **fields: Any) -> PlotterSnapshot:
    return plotter(*TWO_DIRS, host=host, jobs=tuple(job(f"/x{n}", "3:1") for n in range(jobs)), **fields)


@pytest.mark.parametrize("invented", [10, 11, 1000])
def test_invented_jobs_of_one_host_leave_each_other_host_a_start(invented: int) -> None:
    plotters = {"p0": many("p0", invented)} | {f"p{n}": many(f"p{n}", 0) for n in (1, 2, 3)}
    decision = under(plotters, FarmLimits(max_jobs=10))
    assert sorted(start.host for start in decision.starts) == ["p1", "p2", "p3"]
    (wait,) = [wait for wait in decision.waits if wait.host == "p0" and wait.rule == "farm max jobs"]
    assert f"of its {invented} jobs, 7 count" in wait.reason


def test_a_host_of_which_not_all_jobs_count_says_so() -> None:
    plotters = {"p0": many("p0", 70), "p1": many("p1", 0, global_stagger_s=60, last_start_at=at(-1))}
    reasons = [wait.reason for wait in under(plotters, FarmLimits(max_jobs=10)).waits if wait.host == "p0"]
    assert reasons == ["farm max jobs 70/10; kept for p1: 1 start; of its 70 jobs, 9 count"]


@pytest.mark.parametrize(
    "fields", [{"plotting": False}, {"failures": Failures(consecutive=3)}, {"tmp_dirs": ()}]
)
def test_no_start_is_kept_for_a_host_that_may_not_start(fields: dict[str, Any]) -> None:
    plotters = {"p0": many("p0", 9), "p1": many("p1", 0).model_copy(update=fields)}
    assert [start.host for start in under(plotters, FarmLimits(max_jobs=10)).starts] == ["p0"]


def test_the_limit_of_the_farm_holds_though_a_start_is_kept() -> None:
    """No host gets the start that is kept for another, so all together have no more than the limit."""
    plotters = {"p0": many("p0", 8), "p1": many("p1", 0), "p2": many("p2", 0)}
    assert len(under(plotters, FarmLimits(max_jobs=10)).starts) == 2
    waiting = many("p1", 0, global_stagger_s=60, last_start_at=at(-1))
    for jobs, starts in ((8, ["p0"]), (9, [])):
        decision = under({"p0": many("p0", jobs), "p1": waiting}, FarmLimits(max_jobs=10))
        assert [start.host for start in decision.starts] == starts


@pytest.mark.parametrize(("ordered_s", "starts"), [(None, 0), (10, 0), (119, 0), (120, 1), (10**6, 1)])
def test_starts_that_a_host_reports_delay_others_for_twice_the_stagger_at_most(
    ordered_s: float | None, starts: int
) -> None:
    memory = Memory()
    memory.start_ordered_at = None if ordered_s is None else at(-ordered_s)
    plotters = farm(600) | {"p0": plotter(host="p0", last_start_at=T, plotting=False)}
    decision = decided(plotters, {}, {}, {}, {}, T, FarmLimits(stagger_s=60), memory)
    assert [start.host for start in decision.starts] == ["p1"] * starts


def test_a_host_that_claims_to_be_idle_for_ever_gets_not_every_start() -> None:
    plotters = {"p0": plotter(host="p0"), "p1": plotter(host="p1", last_start_at=at(-3600))}
    firsts = Counter(
        decided(plotters, {}, {}, {}, {}, at(60 * minute), FarmLimits(stagger_s=60)).starts[0].host
        for minute in range(200)
    )
    assert min(firsts["p0"], firsts["p1"]) > 60
