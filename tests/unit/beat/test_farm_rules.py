"""Limits that hold across all plotters of the farm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from beat.decisions import Decision
from beat.policy.farm import decide
from beat.policy.farm_rules import FarmLimits
from common.pending import PendingOrder
from common.snapshot import PlotterSnapshot
from tests.unit.beat.builders import T, as_orders, at, job, order, plotter, tmp_dir

TWO_DIRS = (tmp_dir("/tmp1"), tmp_dir("/tmp2"))


def farm(*ages_s: float) -> dict[str, PlotterSnapshot]:
    """One host for each age, with two tmp directories, the first of them with a job of that age."""
    return {
        f"p{number}": plotter(*TWO_DIRS, host=f"p{number}", jobs=(job("/tmp1", "3:1", age),))
        for number, age in enumerate(ages_s, 1)
    }


def decided(
    plotters: Mapping[str, PlotterSnapshot],
    limits: FarmLimits,
    orders: Mapping[str, Sequence[PendingOrder]] | None = None,
) -> Decision:
    return decide(plotters, {}, {}, orders or {}, {}, T, limits)


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
    assert len(decided(plotters, limits).starts) == starts


def test_the_host_that_has_waited_longest_gets_the_one_start_that_is_left() -> None:
    assert [start.host for start in decided(farm(600, 800, 700), FarmLimits(max_jobs=4)).starts] == ["p2"]


def test_every_host_is_told_why_with_both_numbers_and_until_when() -> None:
    waits = decided(farm(600, 700), FarmLimits(max_jobs=2, stagger_s=900)).waits
    told = {(wait.host, wait.reason, wait.until) for wait in waits}
    for host in ("p1", "p2"):
        assert (host, "farm max jobs 2/2", None) in told
        assert (host, "farm stagger 600s/900s", at(300)) in told


def test_an_order_that_is_not_seen_yet_counts_wherever_it_went() -> None:
    ordered = {"p1": [order("/tmp2")]}
    assert not decided(farm(600, 700), FarmLimits(max_jobs=3), ordered).starts


def test_deciding_again_with_the_starts_as_orders_starts_nothing_more() -> None:
    plotters = farm(600, 700, 800)
    limits = FarmLimits(max_jobs=5)
    first = decided(plotters, limits)
    sent: dict[str, list[PendingOrder]] = {}
    for pending, start in zip(as_orders(first.starts, T), first.starts, strict=True):
        sent.setdefault(start.host, []).append(pending)
    assert not decided(plotters, limits, sent).starts
