"""The rule for moves that says which harvester gets a plot, and why none does."""

from __future__ import annotations

import time
from typing import Any

import pytest

from beat.policy.moves.harvester import choose, harvester_capacities
from common.model.pending import MoveStep, PendingMove
from common.model.snapshot import HarvesterSnapshot, Wait
from tests.unit.beat.builders import (
    GB,
    T,
    against,
    archiver,
    at,
    drive,
    farm,
    keeper,
    move,
    plan_moves,
    plot,
    reasons,
    sent,
)

ONE = farm(h1=[drive()])


NO_HARVESTER = [
    # harvesters that live, what the plotter allows; the reason
    ({}, (), "no harvester is running: start one with `plotman up` on a machine with drives"),
    (farm(h9=[drive()]), ("h1", "h2"), "no harvester of h1, h2 is running"),
    (farm(h1=[drive(0.002)]), (), "plot needs 4.1 MB; largest free drive of h1 has 2.0 MB"),
    (
        farm(h1=[drive(0.001)], h2=[drive(0.0005), drive(0.002)]),
        (),
        "plot needs 4.1 MB; largest free drive of h2 has 2.0 MB, the most of 2 harvesters",
    ),
    (farm(h1=[drive(None)]), (), "plot needs 4.1 MB; free space of the drives of h1 is not known"),
    (farm(h1=[drive(state="hanging")]), (), "plot needs 4.1 MB; free space of the drives of h1 is not known"),
    (
        farm(h1=[drive(use="draining"), drive(use="draining"), drive(None, use="disabled"), drive(None)]),
        (),
        "plot needs 4.1 MB; no drive of h1 accepts new plots (1 active, 1 disabled, 2 draining)",
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
        "plot needs 108.000 GB; largest free drive of h1 has 107.950 GB "
        "beside harvester.margin_bytes (100.0 MB)"
    ]


def test_plots_that_head_for_a_drive_take_its_room() -> None:
    wide = {"h1": farm(h1=[drive(250)])["h1"].model_copy(update={"writers_per_drive": 9})}
    narrow = {"h1": farm(h1=[drive(200)])["h1"].model_copy(update={"writers_per_drive": 9})}
    assert two_at_once(wide) == ["h1", "h1"]
    assert two_at_once(narrow) == ["h1"]
    assert two_at_once(wide, move("/dst1/other.plot")) == ["h1"]
    # Past its reservation the part file holds the bytes: they are no longer free.
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
        "but a drive receives at most 1 plot at a time; on the way: 1"
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


NEXT = [
    # h1 is better than h2, and h2 than h3. Where the plot was last, how it ended, failures; who gets it
    ("h1", MoveStep.TRANSFER, 2, "h1"),
    ("h1", MoveStep.TRANSFER, 3, "h2"),  # by the numbers h1 would be best again, and for ever
    ("h2", MoveStep.TRANSFER, 4, "h3"),
    ("h3", MoveStep.TRANSFER, 5, "h1"),
    ("h1", MoveStep.RESERVE, 0, "h2"),
    ("h2", MoveStep.RESERVE, 0, "h3"),
    ("h3", MoveStep.RESERVE, 3, "h1"),
    ("gone", MoveStep.TRANSFER, 3, "h1"),
    ("gone", MoveStep.RESERVE, 0, "h1"),
    ("h1", MoveStep.ADMIT, 9, "h1"),
    ("h1", MoveStep.RELEASE, 9, "h1"),
]


@pytest.mark.parametrize(("harvester", "step", "attempts", "chosen"), NEXT)
def test_a_plot_that_does_not_get_there_goes_to_the_next_harvester_with_room(
    harvester: str, step: MoveStep, attempts: int, chosen: str
) -> None:
    harvesters = farm(h1=[drive(900)], h2=[drive(800)], h3=[drive(700)], full=[drive(1)])
    failed = move(harvester=harvester, step=step, attempts=attempts, retry_at=at(0))
    assert sent(keeper(plot("a")), harvesters, failed) == [("/dst1/a.plot", chosen)]


@pytest.mark.parametrize(("step", "attempts"), [(MoveStep.RESERVE, 0), (MoveStep.TRANSFER, 3)])
def test_the_plotters_own_harvester_is_passed_over_as_any_other(step: MoveStep, attempts: int) -> None:
    failed = move(harvester="p1", step=step, attempts=attempts, retry_at=at(0))
    harvesters = farm(p1=[drive(9000)], h2=[drive(200)])
    assert sent(keeper(plot("a")), harvesters, failed) == [("/dst1/a.plot", "h2")]


@pytest.mark.parametrize(("step", "attempts"), [(MoveStep.RESERVE, 0), (MoveStep.TRANSFER, 9)])
def test_where_no_other_has_room_the_plot_goes_where_it_failed(step: MoveStep, attempts: int) -> None:
    failed = move(step=step, attempts=attempts, retry_at=at(0))
    assert sent(keeper(plot("a")), farm(h1=[drive()], h2=[drive(1)]), failed) == [("/dst1/a.plot", "h1")]


def test_a_reservation_that_was_only_lost_leaves_the_best_harvester_the_best() -> None:
    lost = move(step=MoveStep.RESERVE, expires_at=at(-1))
    assert sent(keeper(plot("a")), farm(h1=[drive(900)], h2=[drive(800)]), lost) == [("/dst1/a.plot", "h1")]


@pytest.mark.parametrize(("step", "attempts"), [(MoveStep.RESERVE, 9), (MoveStep.TRANSFER, 9)])
def test_a_harvester_that_may_have_the_whole_plot_is_not_passed_over(step: MoveStep, attempts: int) -> None:
    failed = move(step=step, attempts=attempts, retry_at=at(0))
    copied = keeper(plot("a", copied_to="h1"))
    assert sent(copied, farm(h1=[drive()], h2=[drive()]), failed) == [("/dst1/a.plot", "h1")]


def test_while_the_harvester_with_the_copy_is_away_there_is_no_second_copy() -> None:
    failed = move(harvester="h2", step=MoveStep.RELEASE, attempts=1, retry_at=at(0))
    assert against(keeper(plot("a")), ONE, failed) == [
        "harvester h2, which may have this plot already, does not report"
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
    assert against(copied, ONE, *records) == [
        "harvester h2, which may have this plot already, does not report"
    ]


def test_it_goes_elsewhere_once_that_harvester_has_looked_and_has_no_copy() -> None:
    copied = keeper(plot("a", copied_to="h2"))
    looked = move(harvester="h2", attempts=1, retry_at=at(0), absent=True)
    assert sent(copied, farm(h1=[drive(9000)], h2=[drive(0)]), looked) == [("/dst1/a.plot", "h1")]


@pytest.mark.parametrize("copied_to", [None, "h1"])
@pytest.mark.parametrize(("attempts", "chosen"), [(1, "h1"), (2, "h1"), (3, "h2")])
def test_a_plot_whose_copies_were_no_good_tries_other_drives_and_then_another_harvester(
    copied_to: str | None, attempts: int, chosen: str
) -> None:
    put_aside = move(step=MoveStep.ADMIT, attempts=attempts, retry_at=at(0), absent=True)
    snapshot = keeper(plot("a", copied_to=copied_to))
    assert sent(snapshot, farm(h1=[drive(9000)], h2=[drive(200)]), put_aside) == [("/dst1/a.plot", chosen)]
    assert sent(snapshot, farm(h2=[drive(200)]), put_aside) == [("/dst1/a.plot", "h2")]


def test_a_broken_transfer_goes_elsewhere_when_its_harvester_is_away_or_not_allowed_any_more() -> None:
    failed = move(harvester="h2", step=MoveStep.TRANSFER, attempts=1, retry_at=at(0))
    assert sent(keeper(plot("a")), ONE, failed) == [("/dst1/a.plot", "h1")]
    both = farm(h1=[drive()], h2=[drive()])
    assert sent(keeper(plot("a"), harvesters=("h1",)), both, failed) == [("/dst1/a.plot", "h1")]


def test_drives_of_one_file_system_share_its_space() -> None:
    snapshot = keeper(plot("a"), plot("b"))
    shared = farm(h1=[drive(200, "/farm/1", device="8:1"), drive(199, "/farm/2", device="8:1")])
    planned, waits = plan_moves(snapshot, archiver(), (), shared, T, at_once=9)
    assert len(planned) == 1
    assert reasons(waits) == [
        "plot needs 108.0 GB; largest free drive of h1 has 199.0 GB, "
        "but a drive receives at most 1 plot at a time; on the way: 1"
    ]
    apart = farm(h1=[drive(200, "/farm/1", device="8:1"), drive(200, "/farm/2", device="8:2")])
    assert len(plan_moves(snapshot, archiver(), (), apart, T, at_once=9)[0]) == 2
    roomy = farm(h1=[drive(220, "/farm/1", device="8:1"), drive(220, "/farm/2", device="8:1")])
    assert len(plan_moves(snapshot, archiver(), (), roomy, T, at_once=9)[0]) == 2, "each takes one"


def test_plots_that_wait_cost_no_more_because_a_harvester_names_ever_so_many_drives() -> None:
    capacities = harvester_capacities(farm(h1=[drive(state="missing")] * 50_000), {}, T)
    plotter, waiting = keeper(), plot()
    began_s = time.process_time()
    waits = [choose(plotter, waiting, None, capacities) for _ in range(1_000)]
    assert time.process_time() - began_s < 1
    assert {isinstance(each, Wait) and each.rule for each in waits} == {"drives"}
