"""One round for the whole farm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from beat.policy.decide import decide
from beat.policy.memory import Memory
from beat.policy.starts.farm_rules import NO_LIMITS, FarmLimits
from common.model.board_state import BoardState
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
    tmp_dir,
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


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda: {"harvesters": {"bad": farm(bad=[drive()])["bad"].model_copy(update={"drives": None})}},
        lambda: {"archivers": {"bad": archiver("bad").model_copy(update={"target": "no target"})}},
        lambda: {"plotters": {"bad": keeper(plot("b"), host="bad").model_copy(update={"plots": (None,)})}},
        lambda: {"plotters": {"bad": plotter(host="bad").model_copy(update={"jobs": (None,)})}},
        lambda: {"lost_plotters": {"bad": plotter(host="bad").model_copy(update={"at": None})}},
        lambda: {"moves": {"bad": [move("/a").model_copy(update={"expires_at": None})]}},
        lambda: {"moves": {"bad": [None]}},
    ],
)
@pytest.mark.parametrize("limits", [NO_LIMITS, FarmLimits(max_jobs=100, stagger_s=0)])
def test_a_value_that_no_rule_foresees_costs_its_host_only(
    spoilt: Callable[[], dict[str, dict[str, Any]]], limits: FarmLimits
) -> None:
    board = BoardState(
        {"p2": plotter(host="p2", plots=(plot("a"),), archiving=True)},
        {"p2": archiver("p2")},
        farm(h1=[drive()]),
    )
    for name, values in spoilt().items():
        board = replace(board, **{name: {**getattr(board, name), **values}})
    decision = decide(board, T, limits)
    assert [start.host for start in decision.starts] == ["p2"]
    assert [each.harvester for each in decision.moves] == ["h1"]
    assert [wait.rule for wait in decision.waits_of.get("bad", ())] in (
        ["trouble"],
        ["starts none", "trouble"],
        [],
    )


def test_what_cannot_be_read_is_a_wait_of_its_host() -> None:
    sentence = "plotman:host:p1:moves cannot be read: it is of the wrong type"
    board = BoardState({host: plotter(host=host) for host in HOSTS}, spoilt={"p1": sentence, "h9": sentence})
    memory = Memory()
    for _ in range(2):
        decision = decide(board, T, memory=memory)
        for host in board.spoilt:
            assert [wait.reason for wait in decision.waits_of[host] if wait.rule == "trouble"] == [sentence]
        assert "p2" in {start.host for start in decision.starts}


def test_a_host_that_claims_endless_limits_gets_some_starts_only() -> None:
    tmp_dirs = tuple(
        tmp_dir(f"/tmp{number}", max_jobs=1 << 60, stagger_limit=1 << 60) for number in range(50)
    )
    endless = plotter(
        *tmp_dirs, host="p1", global_max_jobs=1 << 60, global_stagger_s=0, check_room=False, failure_limit=99
    )
    decision = decided({"p1": endless, "p2": plotter(host="p2")}, {}, {}, {}, {}, T)
    assert {start.host for start in decision.starts} == {"p1", "p2"}
    assert 50 < len(decision.starts) < 1000
