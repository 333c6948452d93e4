"""What the board holds of a step that failed, and when it is tried again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from common.errors import DriveFailed, NoRoom, PlotRefused, TransferFailed
from common.model.pending import MoveStep, PendingMove
from common.model.snapshot import Event
from common.worker.move_step import MoveHeartbeat, StepInterrupted
from tests.unit.common.worker.builders import PATH, FakeBoard, step


def test_failures_are_counted_with_growing_pauses(
    heartbeat: MoveHeartbeat, board: FakeBoard, told: list[Event]
) -> None:
    for attempts, pause in ((1, 10), (2, 30), (3, 90)):
        with pytest.raises(TransferFailed), heartbeat.working(step()):
            raise TransferFailed("drive full (rsync 11).", "Look at dmesg.")

        move = board.kept[PATH]
        assert move.attempts == attempts
        assert move.reason == "drive full (rsync 11). Look at dmesg."
        assert move.retry_at is not None
        assert (move.retry_at - datetime.now(UTC)).total_seconds() == pytest.approx(pause, abs=5)

    assert [event.kind for event in told] == ["transfer-failed"] * 3


def test_a_night_without_room_is_no_failure_of_the_transfer_that_follows(
    heartbeat: MoveHeartbeat, board: FakeBoard
) -> None:
    def failing(kind: MoveStep, error: Exception) -> PendingMove:
        with pytest.raises(type(error)), heartbeat.working(step(kind)):
            raise error
        return board.kept[PATH]

    for _ in range(3):
        no_room = failing(MoveStep.RESERVE, NoRoom("no drive takes it"))
        assert (no_room.attempts, no_room.reason) == (0, "no drive takes it")
        assert no_room.retry_at is not None
    cut = failing(MoveStep.TRANSFER, TransferFailed("rsync: link down"))
    assert cut.attempts == 1
    assert cut.retry_at is not None
    assert (cut.retry_at - datetime.now(UTC)).total_seconds() == pytest.approx(10, abs=5)
    assert failing(MoveStep.RESERVE, NoRoom("no drive takes it")).attempts == 1  # nor is the cut forgotten


def test_a_refused_plot_is_not_tried_again_by_itself(
    heartbeat: MoveHeartbeat, board: FakeBoard, told: list[Event]
) -> None:
    with pytest.raises(PlotRefused), heartbeat.working(step()):
        raise PlotRefused("3 of 27 proofs fail.")

    move = board.kept[PATH]
    assert move.reason == "refused: 3 of 27 proofs fail."
    assert move.retry_at is not None
    assert move.retry_at > datetime.now(UTC) + timedelta(days=365)
    assert [event.kind for event in told] == ["refused"]
    assert PATH in told[0].text


def test_errors_that_nobody_foresaw_are_told_as_well(heartbeat: MoveHeartbeat, board: FakeBoard) -> None:
    with pytest.raises(OSError, match="I/O"), heartbeat.working(step()):
        raise OSError(5, "I/O error")

    assert "I/O error" in (board.kept[PATH].reason or "")


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (MoveStep.RESERVE, NoRoom("no drive takes it")),
        (MoveStep.ADMIT, DriveFailed("it reads back otherwise")),
    ],
)
def test_a_harvester_that_has_no_copy_says_so_in_the_record(
    heartbeat: MoveHeartbeat, board: FakeBoard, kind: MoveStep, error: TransferFailed
) -> None:
    with pytest.raises(TransferFailed), heartbeat.working(replace(step(kind), move="one")):
        raise error

    assert board.kept[PATH].absent
    assert board.kept[PATH].retry_at < datetime.now(UTC) + timedelta(minutes=1)  # type: ignore[operator]
    assert board.kept[PATH].move == "one"


def test_a_worker_that_leaves_fails_nothing_and_lets_others_go_on_at_once(
    heartbeat: MoveHeartbeat, board: FakeBoard, told: list[Event]
) -> None:
    with pytest.raises(StepInterrupted), heartbeat.working(step()):
        raise StepInterrupted

    assert board.kept[PATH].attempts == 0
    assert board.kept[PATH].expires_at <= datetime.now(UTC) + timedelta(seconds=1)  # by the farm's clock
    assert board.kept[PATH].retry_at is None
    assert told == []
