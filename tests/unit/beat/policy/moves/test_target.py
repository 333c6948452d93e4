"""Moves to an archiving target of plotman 0.5.3: no harvester takes part, and each wait says why."""

from __future__ import annotations

from typing import Any

import pytest

from beat.policy.decision import Move
from common.model.pending import MoveStep, PendingMove
from common.model.snapshot import ArchiverSnapshot, FinishedPlot, TargetReport, TargetSpace, Transfer, Wait
from tests.unit.beat.builders import (
    GB,
    T,
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
)

NAS = "rsync://nas:873/plots"


def target(free_gb: float | None = 1000, **fields: Any) -> TargetReport:
    told = () if free_gb is None else (TargetSpace(path="/nas/1", free_bytes=int(free_gb * GB)),)
    return TargetReport(**{"name": "nas", "place": NAS, "spaces": told, "asked_at": T, **fields})


def plan(
    report: TargetReport,
    *moves: PendingMove,
    finished: FinishedPlot | None = None,
    others: tuple[ArchiverSnapshot, ...] = (),
    their_moves: dict[str, list[PendingMove]] | None = None,
) -> tuple[tuple[Move, ...], tuple[Wait, ...]]:
    mine = archiver(target=report)
    snapshot = keeper(finished or plot("a"))
    return plan_moves(snapshot, mine, moves, farm(h1=[drive()]), T, others=others, their_moves=their_moves)


def sending(host: str, place: str, sent_gb: float = 0) -> ArchiverSnapshot:
    transfer = Transfer(
        path="/x",
        plot_id=None,
        size_bytes=108 * GB,
        harvester="target nas",
        drive="/nas/1",
        started_at=T,
        sent_bytes=int(sent_gb * GB),
    )
    return archiver(host, target=target(place=place), transfers=(transfer,))


def test_a_plot_goes_to_the_target_though_a_harvester_has_room() -> None:
    (ordered,), waits = plan(target())
    assert (ordered.harvester, ordered.to_target) == ("target nas", True)
    assert waits == ()


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (target(20), "plot needs 108.0 GB; largest free folder of target nas, /nas/1, has 20.0 GB"),
        (target(None), "plot needs 108.0 GB; the disk space script of target nas names no folder"),
        (target(None, asked_at=None), "free space of target nas is not known yet"),
        (
            target(trouble="target nas: disk space script exits 1: no route."),
            "target nas: disk space script exits 1: no route.",
        ),
        (target(elsewhere="rsync (pid 7)"), "moves 1/1: rsync (pid 7) still sends to target nas"),
    ],
)
def test_why_a_plot_does_not_go(report: TargetReport, reason: str) -> None:
    ordered, waits = plan(report)
    assert not ordered
    assert reasons(waits) == [reason]


def test_what_other_plotters_send_there_takes_up_its_room_and_the_archiver_hears_of_it() -> None:
    others = (sending("p2", NAS, 30), sending("p3", NAS, 108), sending("p4", "another place"))
    ordered, waits = plan(target(150), others=others)
    assert not ordered
    assert reasons(waits)[0].endswith("has 72.0 GB beside 78.0 GB on their way")
    (ordered_with_room,), _ = plan(target(200), others=others)
    assert ordered_with_room.coming == (("/nas/1", 78 * GB),)


def test_two_plotters_do_not_fill_the_last_space_of_one_place_at_the_same_time() -> None:
    """Until an archiver has chosen a folder, its plot counts in each of them."""
    both = [keeper(plot("a", since=at(since)), host=host) for host, since in (("p1", -9), ("p2", -8))]
    for free_gb, sending_hosts in ((150, ["p1"]), (250, ["p1", "p2"])):
        archivers = {host: archiver(host, target=target(free_gb)) for host in ("p1", "p2")}
        first = decided({each.host: each for each in both}, archivers, {}, {}, {}, T)
        assert [each.host for each in first.moves] == sending_hosts
    assert first.moves[1].coming == (("/nas/1", 108 * GB),)

    archivers = {host: archiver(host, target=target(150)) for host in ("p1", "p2")}
    choosing = {"p1": [move(harvester="target nas", step=MoveStep.TRANSFER)]}
    again = decided({"p2": both[1]}, archivers, {}, {}, choosing, T)
    assert not again.moves
    assert again.waits[-1].reason.endswith("has 42.0 GB beside 108.0 GB on their way")
    (transfer,) = sending("p1", NAS, 100).transfers
    archivers["p1"] = sending("p1", NAS).model_copy(
        update={"transfers": (transfer.model_copy(update={"path": "/dst1/a.plot"}),)}
    )
    later = decided({"p2": both[1]}, archivers, {}, {}, choosing, T)
    assert [each.host for each in later.moves] == ["p2"]


HUGE = Transfer(
    path="/x", plot_id=None, size_bytes=1 << 62, harvester="target nas", drive="/nas/1", started_at=T
)


@pytest.mark.parametrize(
    "claimed",
    [
        archiver("p0", target=target(elsewhere="a transfer that never ends")),
        archiver("p0", target=target(), transfers=(HUGE,)),
        archiver("p0", target=target(), transfers=(HUGE,) * 1000),
    ],
)
def test_what_one_plotter_says_of_a_place_takes_at_most_the_space_of_two_plots(
    claimed: ArchiverSnapshot,
) -> None:
    claims = {"p0": [move(f"/{n}", "target nas", step=MoveStep.TRANSFER) for n in range(1000)]}
    (ordered,), _ = plan(target(350), others=(claimed,), their_moves=claims)
    assert ordered.harvester == "target nas"
    assert sum(dict(ordered.coming).values()) <= 2 * 108 * GB


def test_a_plotter_says_nothing_of_another_plotters_own_drives() -> None:
    own = target(120, place="p1:nas")
    claimed = archiver("p0", target=own.model_copy(update={"elsewhere": "x"}), transfers=(HUGE,))
    (ordered,), _ = plan(own, others=(claimed,))
    assert ordered.coming == ()
    lying = keeper(plot("b"), host="p0")
    decision = decided(
        {"p0": lying, "p1": keeper(plot("a"))},
        {"p0": archiver("p0", target=own), "p1": archiver(target=own)},
        {},
        {},
        {},
        T,
    )
    assert "p1" in {each.host for each in decision.moves}


def test_one_transfer_at_a_time_whatever_is_allowed_through_harvesters() -> None:
    ordered, waits = plan_moves(keeper(plot("a"), plot("b")), archiver(target=target()), (), {}, T, at_once=4)
    assert len(ordered) == 1
    assert reasons(waits) == ["moves 1/1: a.plot is on its way to target nas"]


def test_the_next_goes_to_a_target_when_the_last_one_is_gone_from_here() -> None:
    deleted = move("/dst1/a.plot", harvester="target nas", step=MoveStep.RELEASE)
    ordered, waits = plan_moves(keeper(plot("a"), plot("b")), archiver(target=target()), [deleted], {}, T)
    assert not ordered
    assert reasons(waits) == ["moves 1/1: a.plot is on its way to target nas"]


def test_a_plot_that_was_begun_goes_again_though_its_own_copy_fills_the_drive() -> None:
    begun = move(harvester="target nas", step=MoveStep.TRANSFER, expires_at=at(-1), attempts=2)
    (ordered,), _ = plan(target(1), begun)
    assert ordered.attempts == 2


def test_a_plot_that_a_harvester_may_have_already_stays_with_it() -> None:
    begun = move(harvester="h1", step=MoveStep.RELEASE, expires_at=at(-1))
    (ordered,), _ = plan(target(), begun)
    assert (ordered.harvester, ordered.to_target) == ("h1", False)
    (ordered,), _ = plan(target(), finished=plot("a", copied_to="h1"))
    assert (ordered.harvester, ordered.to_target) == ("h1", False)


def test_a_transfer_that_failed_is_tried_again_after_its_pause() -> None:
    failed = move(
        harvester="target nas",
        step=MoveStep.TRANSFER,
        attempts=1,
        retry_at=at(10),
        reason="the drive is full",
    )
    ordered, waits = plan(target(), failed)
    assert not ordered
    assert reasons(waits) == ["the drive is full"]


def test_a_transfer_to_a_folder_that_is_not_known_takes_a_plots_space_of_each() -> None:
    """Its archiver was restarted, and the script still runs."""
    restarted = archiver("p2", target=target(150, elsewhere="rsync (pid 7)"))
    ordered, waits = plan(target(150), others=(restarted,))
    assert not ordered
    assert reasons(waits)[0].endswith("has 42.0 GB beside 108.0 GB on their way")
    assert plan(target(250), others=(restarted,))[0][0].coming == (("/nas/1", 108 * GB),)
    another = archiver("p2", target=target(place="another place", elsewhere="rsync (pid 7)"))
    assert plan(target(150), others=(another,))[0]


@pytest.mark.parametrize(
    ("theirs", "counts"),
    [
        ({"expires_at": at(60)}, True),
        ({"expires_at": at(0)}, True),  # its archiver has just left, and its script may go on
        ({"expires_at": at(-59)}, True),
        ({"expires_at": at(-61)}, False),  # the next archiver reports it
        ({"expires_at": at(-1), "retry_at": at(9)}, False),  # it failed: nothing runs
        ({"expires_at": at(60), "harvester": "h1"}, False),
        ({"expires_at": at(60), "step": MoveStep.RELEASE}, False),
    ],
)
def test_until_another_plotter_shows_the_folder_of_its_transfer_it_counts_in_each(
    theirs: dict[str, Any], counts: bool
) -> None:
    record = move("/dst1/z.plot", **{"harvester": "target nas", "step": MoveStep.TRANSFER, **theirs})
    idle = archiver("p2", target=target(150))
    ordered, _ = plan(target(150), others=(idle,), their_moves={"p2": [record]})
    assert (not ordered) == counts


def test_a_plotter_does_not_wait_for_its_own_last_transfer() -> None:
    lost = move(harvester="target nas", step=MoveStep.TRANSFER, expires_at=at(0))
    assert plan(target(), lost)[0]
