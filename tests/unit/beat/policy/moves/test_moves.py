"""The rules for moves: which plots leave their plotter now, and why the others stay."""

from __future__ import annotations

import pytest

from common.model.pending import MoveStep
from common.model.snapshot import PlotState, Transfer
from tests.unit.beat.builders import (
    T,
    against,
    archiver,
    at,
    decided,
    drive,
    farm,
    keeper,
    move,
    plan_moves,
    plot,
    reasons,
    rules,
    sent,
)

ONE = farm(h1=[drive()])


def test_a_finished_plot_goes_to_the_harvester() -> None:
    planned, waits = plan_moves(keeper(plot("a")), archiver(), (), ONE, T)
    assert [(m.host, m.plot.path, m.harvester, m.attempts) for m in planned] == [
        ("p1", "/dst1/a.plot", "h1", 0)
    ]
    assert waits == ()


def test_without_archiving_plots_stay_and_nobody_complains() -> None:
    assert plan_moves(keeper(plot(), archiving=False), archiver(), (), ONE, T) == ((), ())


def test_a_paused_plotter_still_sends_its_plots() -> None:
    assert sent(keeper(plot("a"), plotting=False), ONE)


@pytest.mark.parametrize("state", [PlotState.OPEN, PlotState.TRUNCATED, PlotState.FOREIGN, PlotState.REFUSED])
@pytest.mark.parametrize("reason", ["its own words", None])
def test_what_is_no_whole_plot_is_never_moved_and_is_named(state: PlotState, reason: str | None) -> None:
    planned, waits = plan_moves(keeper(plot(state=state, reason=reason)), archiver(), (), ONE, T)
    assert not planned
    assert rules(waits) == [(state.value, "/dst1/a.plot")]
    assert waits[0].reason == reason or (reason is None and waits[0].reason)


def test_one_plot_of_a_host_moves_at_a_time() -> None:
    planned, waits = plan_moves(keeper(plot("a", since=at(-9)), plot("b")), archiver(), (), ONE, T)
    assert [each.plot.path for each in planned] == ["/dst1/b.plot"]  # the older one
    assert reasons(waits) == ["moves 1/1: b.plot is on its way to h1"]


def test_several_may_be_allowed_at_once() -> None:
    planned, _ = plan_moves(
        keeper(plot("a"), plot("b"), plot("c")), archiver(), (), farm(h1=[drive()] * 9), T, at_once=2
    )
    assert len(planned) == 2


def test_a_plot_under_way_is_not_sent_again_and_holds_up_the_others() -> None:
    snapshot = keeper(plot("a"), plot("b"))
    assert against(snapshot, ONE, move("/dst1/a.plot")) == ["moves 1/1: a.plot is on its way to h1"]


@pytest.mark.parametrize("step", [MoveStep.ADMIT, MoveStep.RELEASE])
def test_while_a_plot_is_taken_in_the_next_is_sent_to_another_drive(step: MoveStep) -> None:
    snapshot, taken_in = keeper(plot("a"), plot("b")), move("/dst1/a.plot", step=step)
    assert sent(snapshot, farm(h1=[drive(incoming=1), drive()]), taken_in) == [("/dst1/b.plot", "h1")]
    assert against(snapshot, farm(h1=[drive(incoming=1)]), taken_in) == [
        "plot needs 108.0 GB; largest free drive of h1 has 10.0 TB, but a drive receives at most "
        "1 plot at a time; on the way: 1"
    ]


def test_a_transfer_that_only_the_archiver_knows_of_counts_too() -> None:
    """The notice board was wiped; the archiver continues."""
    transfer = Transfer(
        path="/dst1/a.plot", plot_id=None, size_bytes=1, harvester="h1", drive="/farm/1", started_at=T
    )
    sender = archiver(transfers=(transfer,))
    planned, waits = plan_moves(keeper(plot("a"), plot("b")), sender, (), ONE, T)
    assert not planned
    assert rules(waits) == [("moves", "/dst1/b.plot")]


def test_a_move_that_nobody_keeps_alive_is_decided_anew() -> None:
    assert sent(keeper(plot("a")), ONE, move(expires_at=at(0))) == [("/dst1/a.plot", "h1")]


def test_a_failed_move_waits_for_its_retry_and_lets_others_pass() -> None:
    failed = move("/dst1/a.plot", attempts=2, reason="rsync: link down", retry_at=at(90), expires_at=at(-9))
    planned, waits = plan_moves(keeper(plot("a"), plot("b", since=at(-1))), archiver(), [failed], ONE, T)
    assert [each.plot.path for each in planned] == ["/dst1/b.plot"]
    assert [(w.rule, w.reason, w.until) for w in waits] == [("retry", "rsync: link down", at(90))]


def test_after_its_pause_a_failed_move_is_tried_again_with_its_count() -> None:
    failed = move(attempts=2, reason="rsync: link down", retry_at=at(0))
    planned, _ = plan_moves(keeper(plot("a")), archiver(), [failed], ONE, T)
    assert [each.attempts for each in planned] == [2]


def test_without_an_archiver_no_room_is_reserved() -> None:
    planned, waits = plan_moves(keeper(plot("a")), None, (), ONE, T)
    assert not planned
    assert reasons(waits) == ["archiver@p1 is not running: `plotman up` on p1 starts it"]


def test_a_host_moves_as_many_plots_at_once_as_it_says() -> None:
    snapshot = keeper(plot("a"), plot("b"), plot("c"), moves_at_once=2)
    decision = decided({"p1": snapshot}, {"p1": archiver()}, farm(h1=[drive()] * 3), {}, {}, T)
    assert len(decision.moves) == 2


@pytest.mark.parametrize(("routed", "asked"), [((), True), (("h2",), True), (("h2", "h1"), False)])
def test_no_receiver_is_asked_for_if_the_plotter_has_a_route_to_the_harvester(
    routed: tuple[str, ...], asked: bool
) -> None:
    planned, _ = plan_moves(keeper(plot("a")), archiver(routed=routed), (), ONE, T)
    assert [move.through_receiver for move in planned] == [asked]


def test_a_move_that_claims_a_drive_for_years_takes_nobodys_place() -> None:
    claimed = move("/dst1/b.plot", expires_at=at(10**9))
    assert sent(keeper(plot("a")), ONE, claimed) == [("/dst1/a.plot", "h1")]
