"""What the board holds of a plot while a step of its move works, and after it."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from common.model.pending import MoveStep, PendingMove
from common.model.snapshot import Event
from common.worker import move_step
from common.worker.move_step import MoveHeartbeat
from tests.support.waiting import eventually
from tests.unit.common.worker.builders import PATH, FakeBoard, step


def test_what_a_long_step_does_is_shown_while_it_lasts(
    heartbeat: MoveHeartbeat, board: FakeBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move_step, "RENEW_S", 0.01)
    doing = move_step.Doing()
    with heartbeat.working(step(), doing):
        doing.text = "is read back from /farm/1: 40 %"
        eventually(lambda: PATH in board.kept and board.kept[PATH].doing == doing.text, "it is shown", 5)
    assert board.kept[PATH].doing is None


@pytest.mark.parametrize(
    ("noted", "stays"),
    [("one", False), (None, False), ("two", True)],
    ids=["its own", "nobody's", "another's"],
)
def test_a_move_whose_plot_is_gone_leaves_the_board_and_no_other_does(
    heartbeat: MoveHeartbeat, board: FakeBoard, noted: str | None, stays: bool
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=30)
    board.kept[PATH] = PendingMove(
        path=PATH, harvester="h", size_bytes=1, step=MoveStep.TRANSFER, expires_at=soon, move=noted
    )
    heartbeat.over(replace(step(MoveStep.TRANSFER, MoveStep.ADMIT), move="one"))
    assert (PATH in board.kept) is stays


def test_a_step_whose_move_was_decided_anew_meanwhile_is_void(
    heartbeat: MoveHeartbeat, board: FakeBoard
) -> None:
    late = replace(step(), move="one")
    soon, past = (datetime.now(UTC) + timedelta(seconds=s) for s in (30, -30))
    other = PendingMove(
        path=PATH, harvester="h", size_bytes=1, step=MoveStep.TRANSFER, expires_at=soon, move="two"
    )

    def superseded(record: PendingMove) -> bool:
        board.kept[PATH] = record
        return heartbeat.superseded(late)

    assert superseded(other)
    assert not superseded(other.model_copy(update={"move": "one"}))
    assert not superseded(other.model_copy(update={"expires_at": past}))
    assert not superseded(other.model_copy(update={"retry_at": soon}))
    assert not heartbeat.superseded(step())  # an operator's own call
    board.away = True
    assert not heartbeat.superseded(late)


def test_while_a_step_works_its_move_is_alive(heartbeat: MoveHeartbeat, board: FakeBoard) -> None:
    first = threading.Event()
    put = board.put_move
    board.put_move = lambda host, move: (put(host, move), first.set())[0]  # type: ignore[method-assign]

    with heartbeat.working(step()):
        assert first.wait(5)
        move = board.kept[PATH]

    assert move.step is MoveStep.ADMIT
    assert move.expires_at > datetime.now(UTC) + timedelta(seconds=30)
    assert move.retry_at is None


def test_long_work_is_renewed(
    heartbeat: MoveHeartbeat, board: FakeBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move_step, "RENEW_S", 0.01)
    third = threading.Event()
    put = board.put_move

    def count(host: str, move: PendingMove) -> None:
        put(host, move)
        if board.writes >= 3:
            third.set()

    board.put_move = count  # type: ignore[method-assign]
    with heartbeat.working(step()):
        assert third.wait(5)


def test_a_redis_that_was_away_is_told_at_once_when_it_is_back(
    heartbeat: MoveHeartbeat, board: FakeBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else beat would find a plot there that nobody works on, and order it to be sent anew."""
    monkeypatch.setattr(move_step, "_REDIS_PAUSE_S", 0.001)
    told = threading.Event()
    put = board.put_move
    board.put_move = lambda host, move: (put(host, move), told.set())[0]  # type: ignore[method-assign]
    board.away = True

    with heartbeat.working(step()):
        assert not told.wait(0.05)
        board.away = False
        assert told.wait(move_step.RENEW_S / 3)


def test_after_a_step_the_move_stands_at_the_next(heartbeat: MoveHeartbeat, board: FakeBoard) -> None:
    with heartbeat.working(step(MoveStep.TRANSFER, MoveStep.ADMIT)):
        pass

    assert board.kept[PATH].step is MoveStep.ADMIT


def test_after_the_last_step_the_move_is_gone(heartbeat: MoveHeartbeat, board: FakeBoard) -> None:
    with heartbeat.working(step(MoveStep.RELEASE, None)):
        pass

    assert board.kept == {}


def test_a_missing_redis_stops_no_step(heartbeat: MoveHeartbeat, board: FakeBoard) -> None:
    board.away = True

    with heartbeat.working(step()):
        worked = True

    assert worked


def test_what_is_sent_is_left_with_beat_for_the_harvester(
    board: FakeBoard, heartbeat: MoveHeartbeat, told: list[Event]
) -> None:
    sending = step(MoveStep.TRANSFER, MoveStep.ADMIT)
    with heartbeat.working(sending):
        pass
    heartbeat.hand_over(sending, {"digest": "00"})
    assert board.kept[PATH].step is MoveStep.ADMIT
    assert board.kept[PATH].delivery == {"digest": "00"}
    assert [event.kind for event in told] == ["sent"]


def test_what_is_sent_while_redis_is_away_is_handed_over_when_it_is_back(
    board: FakeBoard, heartbeat: MoveHeartbeat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move_step, "_REDIS_PAUSE_S", 0.001)
    board.away = True
    thread = threading.Thread(target=heartbeat.hand_over, args=(step(MoveStep.TRANSFER, MoveStep.ADMIT), {}))
    thread.start()
    thread.join(timeout=0.05)
    assert thread.is_alive()
    board.away = False
    thread.join(timeout=5)
    assert board.kept[PATH].delivery == {}


def test_a_worker_that_leaves_does_not_wait_for_redis(board: FakeBoard, heartbeat: MoveHeartbeat) -> None:
    class Set:
        def is_set(self) -> bool:
            return True

    board.away = True
    heartbeat.hand_over(step(MoveStep.TRANSFER, MoveStep.ADMIT), {}, Set())
    assert not board.kept
