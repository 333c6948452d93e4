"""Moves to an archiving target of plotman 0.5.3: no harvester takes part, and each wait says why."""

from __future__ import annotations

from typing import Any

import pytest

from beat.policy.archiving import plan_moves
from common.pending import MoveStep, PendingMove
from common.snapshot import ArchiverSnapshot, TargetReport, TargetSpace, Transfer
from tests.unit.beat.builders import GB, T, archiver, at, drive, farm, keeper, move, plot, reasons


def target(free_gb: float | None = 1000, **fields: Any) -> TargetReport:
    told = () if free_gb is None else (TargetSpace(path="/nas/1", free_bytes=int(free_gb * GB)),)
    return TargetReport(**{"name": "nas", "place": "p1:nas", "spaces": told, "asked_at": T, **fields})


def plan(report: TargetReport, *moves: PendingMove, others: tuple[ArchiverSnapshot, ...] = (), **fields: Any):  # type: ignore[no-untyped-def]
    mine = archiver(target=report, **fields.pop("mine", {}))
    archivers = {each.host: each for each in (mine, *others)}
    return plan_moves(
        keeper(fields.pop("plot", plot("a"))),
        mine,
        moves,
        farm(h1=[drive()]),
        T,
        archivers=archivers,
        **fields,
    )


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


def test_what_another_plotter_sends_there_takes_up_its_room() -> None:
    sent = Transfer(
        path="/x", plot_id=None, size_bytes=108 * GB, harvester="target nas", drive="/nas/1", started_at=T
    )
    other = archiver("p2", target=target(), transfers=(sent,))
    ordered, waits = plan(target(200), others=(other,))
    assert not ordered
    assert reasons(waits)[0].endswith("has 92.0 GB beside 108.0 GB on their way")


def test_one_transfer_at_a_time_whatever_is_allowed_through_harvesters() -> None:
    ordered, waits = plan_moves(keeper(plot("a"), plot("b")), archiver(target=target()), (), {}, T, at_once=4)
    assert len(ordered) == 1
    assert reasons(waits) == ["moves 1/1: a.plot is on its way to target nas"]


def test_a_plot_that_was_begun_goes_again_though_its_own_copy_fills_the_drive() -> None:
    begun = move(harvester="target nas", step=MoveStep.TRANSFER, expires_at=at(-1), attempts=2)
    (ordered,), _ = plan(target(1), begun)
    assert ordered.attempts == 2


def test_a_plot_that_a_harvester_may_have_already_stays_with_it() -> None:
    begun = move(harvester="h1", step=MoveStep.RELEASE, expires_at=at(-1))
    (ordered,), _ = plan(target(), begun)
    assert (ordered.harvester, ordered.to_target) == ("h1", False)
    (ordered,), _ = plan(target(), plot=plot("a", copied_to="h1"))
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
