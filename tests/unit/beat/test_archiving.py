"""The rules for moves: which plot, to which harvester, and why the others stay."""

from __future__ import annotations

from typing import Any

import pytest

from beat.policy.archiving import by_priority, plan_moves
from beat.policy.farm import decide
from common.pending import MoveStep, PendingMove
from common.snapshot import HarvesterSnapshot, PlotState, PlotterSnapshot, Transfer
from tests.unit.beat.builders import (
    GB,
    T,
    archiver,
    at,
    directory,
    drive,
    farm,
    job,
    keeper,
    move,
    plot,
    reasons,
    rules,
)

ONE = farm(h1=[drive()])


def sent(
    snapshot: PlotterSnapshot, harvesters: dict[str, HarvesterSnapshot], *moves: PendingMove
) -> list[tuple[str, str]]:
    planned, _ = plan_moves(snapshot, archiver(), moves, harvesters, T)
    return [(each.plot.path, each.harvester) for each in planned]


def against(
    snapshot: PlotterSnapshot, harvesters: dict[str, HarvesterSnapshot], *moves: PendingMove
) -> list[str]:
    planned, waits = plan_moves(snapshot, archiver(), moves, harvesters, T)
    assert not planned
    return reasons(waits)


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


def test_a_transfer_that_only_the_archiver_knows_of_counts_too() -> None:
    """The notice board was wiped; the archiver goes on."""
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
    assert reasons(waits) == ["archiver@p1 is not there: `plotman up` on p1 starts it"]


NO_HARVESTER = [
    # harvesters that live, what the plotter allows; the reason
    ({}, (), "no harvester is known: start one with `plotman up` on a machine with drives"),
    (farm(h9=[drive()]), ("h1", "h2"), "no harvester of h1, h2 is there"),
    (farm(h1=[drive(0.002)]), (), "plot needs 4.1 MB; largest free drive of h1 has 2.0 MB"),
    (
        farm(h1=[drive(0.001)], h2=[drive(0.0005), drive(0.002)]),
        (),
        "plot needs 4.1 MB; largest free drive of h2 has 2.0 MB, the roomiest of 2 harvesters",
    ),
    (farm(h1=[drive(None)]), (), "plot needs 4.1 MB; free space of the drives of h1 is not known"),
    (farm(h1=[drive(state="hanging")]), (), "plot needs 4.1 MB; free space of the drives of h1 is not known"),
    (
        farm(h1=[drive(use="draining"), drive(use="draining"), drive(None, use="disabled"), drive(None)]),
        (),
        "plot needs 4.1 MB; no drive of h1 takes new ones (1 active, 1 disabled, 2 draining)",
    ),
    (farm(h1=[]), (), "plot needs 4.1 MB; h1 has no drives"),
    (farm(h1=[], h2=[]), (), "plot needs 4.1 MB; none of h1, h2 has drives"),
]  # fmt: skip


@pytest.mark.parametrize(("harvesters", "allowed", "reason"), NO_HARVESTER)
def test_a_plot_that_fits_nowhere_stays_and_says_why(
    harvesters: dict[str, HarvesterSnapshot], allowed: tuple[str, ...], reason: str
) -> None:
    small = plot(size_bytes=4_100_000)
    assert against(keeper(small, harvesters=allowed), harvesters) == [reason]


CHOICE: list[tuple[dict[str, HarvesterSnapshot], dict[str, Any], tuple[PendingMove, ...], str]] = [
    # harvesters, what is special of the plotter, other moves; who gets the plot
    (farm(h1=[drive(200)], h2=[drive(300)]), {}, (), "h2"),  # most room
    (farm(h1=[drive(200), drive(200)], h2=[drive(300)]), {}, (), "h1"),  # on all its drives
    (farm(p1=[drive(110)], h2=[drive(9000)]), {}, (), "p1"),  # a copy on the same host needs no link
    (farm(p1=[drive(100)], h2=[drive(9000)]), {}, (), "h2"),
    (farm(h1=[drive()], h2=[drive()]), {"harvesters": ("h2",)}, (), "h2"),
    (farm(h1=[drive(200)], h2=[drive(200)]), {}, (), "h1"),  # equals: by name
    (farm(h1=[drive(None)], h2=[drive(110)]), {}, (), "h2"),
    (farm(h1=[drive(900, state="read-only")], h2=[drive(110)]), {}, (), "h2"),
    (farm(h1=[drive(900, incoming=1)], h2=[drive(110)]), {}, (), "h2"),  # one writer to a drive
    (farm(h1=[drive(900, use="draining")], h2=[drive(110)]), {}, (), "h2"),
    (farm(h1=[drive(900, use="disabled", state="unknown")], h2=[drive(110)]), {}, (), "h2"),
    (farm(h1=[drive(107, full=True), drive(200, use="draining")], h2=[drive(110)]), {}, (), "h2"),
]


@pytest.mark.parametrize(("harvesters", "special", "moves", "chosen"), CHOICE)
def test_choice_of_the_harvester(
    harvesters: dict[str, HarvesterSnapshot],
    special: dict[str, Any],
    moves: tuple[PendingMove, ...],
    chosen: str,
) -> None:
    assert sent(keeper(plot("a"), **special), harvesters, *moves) == [("/dst1/a.plot", chosen)]


def two_at_once(harvesters: dict[str, HarvesterSnapshot], *moves: PendingMove) -> list[str]:
    snapshot = keeper(plot("a"), plot("b"))
    planned, _ = plan_moves(snapshot, archiver(), moves, harvesters, T, at_once=9)
    return [each.harvester for each in planned]


def test_the_harvester_with_the_fewest_plots_on_their_way_comes_first() -> None:
    assert two_at_once(farm(h1=[drive(900)] * 2, h2=[drive(200)])) == ["h1", "h2"]
    heading = move("/dst1/other.plot", "h1", step=MoveStep.TRANSFER)
    assert two_at_once(farm(h1=[drive(900)] * 2, h2=[drive(200)]), heading)[0] == "h2"


def test_two_equal_harvesters_take_turns_though_each_plot_comes_when_the_one_before_has_landed() -> None:
    rooms = {host: [drive(900, f"/farm/{number}") for number in range(3)] for host in ("h1", "h2")}
    taken = []
    for _ in range(6):
        [(_, host)] = sent(keeper(plot("a")), farm(**rooms))
        taken.append(host)
        # It fills its first drive; the others stay as roomy as the other harvester's.
        first = rooms[host][0]
        rooms[host][0] = first.model_copy(update={"free_bytes": (first.free_bytes or 0) - 108 * GB})
    assert taken == ["h1", "h2"] * 3


def test_the_margin_of_a_harvester_is_not_room() -> None:
    tight = {"h1": farm(h1=[drive(108.05)])["h1"].model_copy(update={"margin_bytes": 100_000_000})}
    assert sent(keeper(plot("a")), farm(h1=[drive(108.05)])) == [("/dst1/a.plot", "h1")]
    assert against(keeper(plot("a")), tight) == [
        "plot needs 108.000 GB; largest free drive of h1 has 107.950 GB"
    ]


def test_plots_that_head_for_a_drive_take_its_room() -> None:
    wide = {"h1": farm(h1=[drive(250)])["h1"].model_copy(update={"writers_per_drive": 9})}
    narrow = {"h1": farm(h1=[drive(200)])["h1"].model_copy(update={"writers_per_drive": 9})}
    assert two_at_once(wide) == ["h1", "h1"]
    assert two_at_once(narrow) == ["h1"]
    assert two_at_once(wide, move("/dst1/other.plot")) == ["h1"]
    # Past its reservation the part file holds the bytes: they are gone from what is free.
    assert two_at_once(wide, move("/dst1/other.plot", step=MoveStep.TRANSFER)) == ["h1", "h1"]


def test_a_drive_takes_as_many_plots_at_once_as_its_harvester_says() -> None:
    assert two_at_once(farm(h1=[drive(9000)])) == ["h1"]
    assert two_at_once(farm(h1=[drive(9000), drive(9000, "/farm/2")])) == ["h1", "h1"]
    busy = farm(h1=[drive(9000, incoming=1)])
    under_way = move("/dst1/x.plot", step=MoveStep.TRANSFER)
    snapshot = keeper(plot("a"))
    planned, waits = plan_moves(snapshot, archiver(), [under_way], busy, T, at_once=9)
    assert not planned
    assert reasons(waits) == [
        "plot needs 108.0 GB; largest free drive of h1 has 9.0 TB, "
        "but each with room takes 1 at a time; 1 are on their way"
    ]


def test_a_harvester_with_part_files_of_no_known_move_is_asked_all_the_same() -> None:
    """One of them may be this plot's own, from before the notice board was wiped."""
    assert sent(keeper(plot("a")), farm(h1=[drive(20, incoming=1)])) == [("/dst1/a.plot", "h1")]
    explained = move("/elsewhere/b.plot", step=MoveStep.TRANSFER)
    two = keeper(plot("a"))
    assert plan_moves(two, archiver(), [explained], farm(h1=[drive(20, incoming=1)]), T, at_once=2)[0] == ()


BACK = [
    # step the plot got to at h2, failures; where it goes when h1 has more room
    (MoveStep.RESERVE, 1, "h1"),
    (MoveStep.TRANSFER, 1, "h2"),  # its part file lies there, half full
    (MoveStep.TRANSFER, 2, "h2"),
    (MoveStep.TRANSFER, 3, "h1"),  # that way does not work
    (MoveStep.ADMIT, 9, "h2"),  # the copy may be complete: never a second one
    (MoveStep.RELEASE, 9, "h2"),
]


@pytest.mark.parametrize(("step", "attempts", "harvester"), BACK)
def test_a_plot_goes_back_to_where_a_copy_of_it_may_be(step: MoveStep, attempts: int, harvester: str) -> None:
    harvesters = farm(h1=[drive(9000)], h2=[drive(0, incoming=1)])
    failed = move(harvester="h2", step=step, attempts=attempts, retry_at=at(0))
    assert sent(keeper(plot("a")), harvesters, failed) == [("/dst1/a.plot", harvester)]


def test_while_the_harvester_with_the_copy_is_away_there_is_no_second_copy() -> None:
    failed = move(harvester="h2", step=MoveStep.RELEASE, attempts=1, retry_at=at(0))
    assert against(keeper(plot("a")), ONE, failed) == [
        "harvester h2, which may have this plot already, is not there"
    ]


@pytest.mark.parametrize("former", [None, move(step=MoveStep.RESERVE, attempts=1, retry_at=at(0))])
def test_a_plot_goes_to_the_harvester_that_has_all_its_bytes_though_no_record_says_so(
    former: PendingMove | None,
) -> None:
    """The notice board was wiped, or a later step of another try failed: the plotter itself remembers."""
    copied = keeper(plot("a", copied_to="h2"))
    records = [former] if former else []
    full = farm(h1=[drive(9000)], h2=[drive(0)])
    assert sent(copied, full, *records) == [("/dst1/a.plot", "h2")]
    assert against(copied, ONE, *records) == ["harvester h2, which may have this plot already, is not there"]


def test_it_goes_elsewhere_once_that_harvester_has_looked_and_has_no_copy() -> None:
    copied = keeper(plot("a", copied_to="h2"))
    looked = move(harvester="h2", attempts=1, retry_at=at(0), absent=True)
    assert sent(copied, farm(h1=[drive(9000)], h2=[drive(0)]), looked) == [("/dst1/a.plot", "h1")]


def test_a_host_moves_as_many_plots_at_once_as_it_says() -> None:
    snapshot = keeper(plot("a"), plot("b"), plot("c"), moves_at_once=2)
    decision = decide({"p1": snapshot}, {"p1": archiver()}, farm(h1=[drive()] * 3), {}, {}, T)
    assert len(decision.moves) == 2


def test_a_broken_transfer_goes_elsewhere_when_its_harvester_is_away_or_not_allowed_any_more() -> None:
    failed = move(harvester="h2", step=MoveStep.TRANSFER, attempts=1, retry_at=at(0))
    assert sent(keeper(plot("a")), ONE, failed) == [("/dst1/a.plot", "h1")]
    both = farm(h1=[drive()], h2=[drive()])
    assert sent(keeper(plot("a"), harvesters=("h1",)), both, failed) == [("/dst1/a.plot", "h1")]


def test_the_fullest_dst_directory_is_emptied_first_its_oldest_plot_before_the_others() -> None:
    snapshot = keeper(
        plot("a", "/dst1", since=at(-99)),
        plot("b", "/dst2", since=at(-10)),
        plot("c", "/dst2", since=at(-20)),
        dst_dirs=(directory("/dst1", 2000), directory("/dst2/", 100)),
    )
    assert [each.path for each in by_priority(snapshot)] == ["/dst2/c.plot", "/dst2/b.plot", "/dst1/a.plot"]


def test_a_dst_directory_that_a_plot_is_about_to_be_copied_to_is_left_alone() -> None:
    plots = (plot("a", "/dst1", since=at(-99)), plot("b", "/dst2"))
    assert by_priority(keeper(*plots))[0].path == "/dst1/a.plot"
    busy = keeper(*plots, jobs=(job(phase="1:1"), job(phase="4:1", dst="/dst1/"), job(phase=None)))
    assert by_priority(busy)[0].path == "/dst2/b.plot"


@pytest.mark.parametrize(("routed", "door"), [((), True), (("h2",), True), (("h2", "h1"), False)])
def test_no_door_is_asked_for_where_the_plotter_names_a_way_of_its_own(
    routed: tuple[str, ...], door: bool
) -> None:
    planned, _ = plan_moves(keeper(plot("a")), archiver(routed=routed), (), ONE, T)
    assert [move.door for move in planned] == [door]
