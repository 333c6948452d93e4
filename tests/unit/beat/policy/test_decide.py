"""One round for the whole farm."""

from __future__ import annotations

from beat.policy.starts.farm_rules import NO_LIMITS, FarmLimits
from tests.unit.beat.builders import (
    T,
    archiver,
    at,
    decided,
    drive,
    farm,
    keeper,
    move,
    order,
    plot,
    plotter,
    rules,
)

HOSTS = ("p1", "p2", "p3")
ARCHIVERS = {host: archiver(host) for host in HOSTS}


def test_each_host_is_decided_on_with_its_own_orders() -> None:
    plotters = {host: plotter(host=host) for host in HOSTS}
    decision = decided(plotters, {}, {}, {"p2": [order()]}, {}, T)
    assert [(start.host, start.tmp) for start in decision.starts] == [("p1", "/tmp1"), ("p3", "/tmp1")]
    assert {wait.host for wait in decision.waits} == set(HOSTS)


def test_hosts_share_the_drives_and_the_plot_that_waits_longest_goes_first() -> None:
    """Acceptance: two plotters end at once, one drive has room for one and a half plots."""
    plotters = {
        "p1": keeper(plot("a", since=at(-5)), host="p1"),
        "p2": keeper(plot("b", since=at(-50)), host="p2"),
    }
    decision = decided(plotters, ARCHIVERS, farm(h1=[drive(160)]), {}, {}, T)
    assert [(each.host, each.plot.path) for each in decision.moves] == [("p2", "/dst1/b.plot")]
    assert ("drives", "/dst1/a.plot") in rules(decision.waits)


def test_moves_of_a_plotter_that_is_gone_still_take_their_room() -> None:
    plotters = {"p1": keeper(plot("a"), host="p1")}
    decision = decided(plotters, ARCHIVERS, farm(h1=[drive(160)]), {}, {"gone": [move("/dst1/z.plot")]}, T)
    assert decision.moves == ()


def test_plots_spread_over_harvesters() -> None:
    plotters = {host: keeper(plot("a"), host=host) for host in HOSTS}
    harvesters = farm(h1=[drive()] * 4, h2=[drive()] * 4, h3=[drive()] * 4)
    decision = decided(plotters, ARCHIVERS, harvesters, {}, {}, T)
    assert sorted(each.harvester for each in decision.moves) == ["h1", "h2", "h3"]


def test_a_host_of_which_nothing_can_be_made_keeps_no_other_from_plotting_and_moving() -> None:
    plotters = {
        "p1": plotter(host="p1", windows=("whenever the sun shines",)),
        "p2": plotter(host="p2", plots=(plot("a"),), archiving=True),
    }
    for limits in (NO_LIMITS, FarmLimits(max_jobs=100)):
        decision = decided(plotters, ARCHIVERS, farm(h1=[drive()]), {}, {}, T, limits)
        assert {start.host for start in decision.starts} == {each.host for each in decision.moves} == {"p2"}
        (trouble,) = decision.waits_of["p1"]
        assert (trouble.rule, "whenever the sun shines" in trouble.reason) == ("trouble", True)


def test_a_stagger_of_centuries_means_never() -> None:
    plotters = {"p1": plotter(host="p1", global_stagger_s=1e15, last_start_at=at(-1))}
    decision = decided(plotters, {}, {}, {}, {}, T, FarmLimits(stagger_s=1e15))
    assert rules(decision.waits) == [("stagger", None), ("farm stagger", None)]


def test_an_empty_farm_waits_for_nothing() -> None:
    decision = decided({}, {}, {}, {}, {}, T)
    assert (decision.starts, decision.moves, decision.waits) == ((), (), ())
