"""What the notice board hears of a plot under way."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from common.errors import BrokerError, DriveFailed, NoRoom, PlotRefused, TransferFailed
from common.model.pending import MoveStep, PendingMove
from common.model.snapshot import Event
from common.worker import move_step
from common.worker.move_step import MoveHeartbeat, Step, StepInterrupted
from tests.support.waiting import eventually

PATH = "/dst/a.plot"


class FakeBoard:
    """Remembers moves as Redis would; `away` makes it as silent."""

    def __init__(self) -> None:
        self.kept: dict[str, PendingMove] = {}
        self.writes = 0
        self.away = False

    def _answer(self) -> None:
        if self.away:
            raise BrokerError("Redis does not answer.")

    def put_move(self, host: str, move: PendingMove) -> None:
        self._answer()
        self.writes += 1
        self.kept[move.path] = move

    def drop_move(self, host: str, path: str) -> None:
        self._answer()
        self.kept.pop(path, None)

    def moves(self, hosts: list[str]) -> dict[str, list[PendingMove]]:
        self._answer()
        return {hosts[0]: list(self.kept.values())}


@pytest.fixture
def board() -> FakeBoard:
    return FakeBoard()


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def keeper(board: FakeBoard, told: list[Event]) -> MoveHeartbeat:
    return MoveHeartbeat(board, told.append)  # type: ignore[arg-type]


def step(kind: MoveStep = MoveStep.ADMIT, then: MoveStep | None = MoveStep.RELEASE) -> Step:
    return Step(kind, "plotter", "harvester", PATH, 1000, "harvester", "task", "0f", then)


def test_what_a_long_step_does_is_shown_while_it_lasts(
    keeper: MoveHeartbeat, board: FakeBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move_step, "RENEW_S", 0.01)
    doing = move_step.Doing()
    with keeper.working(step(), doing):
        doing.text = "is read back from /farm/1: 40 %"
        eventually(lambda: board.kept[PATH].doing == doing.text, "it is shown", 5)
    assert board.kept[PATH].doing is None


@pytest.mark.parametrize(
    ("noted", "stays"),
    [("one", False), (None, False), ("two", True)],
    ids=["its own", "nobody's", "another's"],
)
def test_a_move_whose_plot_is_gone_leaves_the_board_and_no_other_does(
    keeper: MoveHeartbeat, board: FakeBoard, noted: str | None, stays: bool
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=30)
    board.kept[PATH] = PendingMove(
        path=PATH, harvester="h", size_bytes=1, step=MoveStep.TRANSFER, expires_at=soon, move=noted
    )
    keeper.over(replace(step(MoveStep.TRANSFER, MoveStep.ADMIT), move="one"))
    assert (PATH in board.kept) is stays


def test_a_step_whose_move_was_decided_anew_meanwhile_is_void(
    keeper: MoveHeartbeat, board: FakeBoard
) -> None:
    late = replace(step(), move="one")
    soon, past = (datetime.now(UTC) + timedelta(seconds=s) for s in (30, -30))
    other = PendingMove(
        path=PATH, harvester="h", size_bytes=1, step=MoveStep.TRANSFER, expires_at=soon, move="two"
    )

    def superseded(record: PendingMove) -> bool:
        board.kept[PATH] = record
        return keeper.superseded(late)

    assert superseded(other)
    assert not superseded(other.model_copy(update={"move": "one"}))
    assert not superseded(other.model_copy(update={"expires_at": past}))
    assert not superseded(other.model_copy(update={"retry_at": soon}))
    assert not keeper.superseded(step())  # a person's own call
    board.away = True
    assert not keeper.superseded(late)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (MoveStep.RESERVE, NoRoom("no drive takes it")),
        (MoveStep.ADMIT, DriveFailed("it reads back otherwise")),
    ],
)
def test_a_harvester_that_has_no_copy_says_so_in_the_record(
    keeper: MoveHeartbeat, board: FakeBoard, kind: MoveStep, error: TransferFailed
) -> None:
    with pytest.raises(TransferFailed), keeper.working(replace(step(kind), move="one")):
        raise error

    assert board.kept[PATH].absent
    assert board.kept[PATH].retry_at < datetime.now(UTC) + timedelta(minutes=1)  # type: ignore[operator]
    assert board.kept[PATH].move == "one"


def test_while_a_step_works_its_move_is_alive(keeper: MoveHeartbeat, board: FakeBoard) -> None:
    first = threading.Event()
    put = board.put_move
    board.put_move = lambda host, move: (put(host, move), first.set())[0]  # type: ignore[method-assign]

    with keeper.working(step()):
        assert first.wait(5)
        move = board.kept[PATH]

    assert move.step is MoveStep.ADMIT
    assert move.expires_at > datetime.now(UTC) + timedelta(seconds=30)
    assert move.retry_at is None


def test_long_work_is_renewed(
    keeper: MoveHeartbeat, board: FakeBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move_step, "RENEW_S", 0.01)
    third = threading.Event()
    put = board.put_move

    def count(host: str, move: PendingMove) -> None:
        put(host, move)
        if board.writes >= 3:
            third.set()

    board.put_move = count  # type: ignore[method-assign]
    with keeper.working(step()):
        assert third.wait(5)


def test_a_redis_that_was_away_is_told_at_once_when_it_is_back(
    keeper: MoveHeartbeat, board: FakeBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else beat would find a plot there that nobody works on, and order it to be sent anew."""
    monkeypatch.setattr(move_step, "_REDIS_PAUSE_S", 0.001)
    told = threading.Event()
    put = board.put_move
    board.put_move = lambda host, move: (put(host, move), told.set())[0]  # type: ignore[method-assign]
    board.away = True

    with keeper.working(step()):
        assert not told.wait(0.05)
        board.away = False
        assert told.wait(move_step.RENEW_S / 3)


def test_after_a_step_the_move_stands_at_the_next(keeper: MoveHeartbeat, board: FakeBoard) -> None:
    with keeper.working(step(MoveStep.TRANSFER, MoveStep.ADMIT)):
        pass

    assert board.kept[PATH].step is MoveStep.ADMIT


def test_after_the_last_step_the_move_is_gone(keeper: MoveHeartbeat, board: FakeBoard) -> None:
    with keeper.working(step(MoveStep.RELEASE, None)):
        pass

    assert board.kept == {}


def test_failures_are_counted_with_growing_pauses(
    keeper: MoveHeartbeat, board: FakeBoard, told: list[Event]
) -> None:
    for attempts, pause in ((1, 10), (2, 30), (3, 90)):
        with pytest.raises(TransferFailed), keeper.working(step()):
            raise TransferFailed("drive full (rsync 11).", "Look at dmesg.")

        move = board.kept[PATH]
        assert move.attempts == attempts
        assert move.reason == "drive full (rsync 11). Look at dmesg."
        assert move.retry_at is not None
        assert (move.retry_at - datetime.now(UTC)).total_seconds() == pytest.approx(pause, abs=5)

    assert [event.kind for event in told] == ["transfer-failed"] * 3


def test_a_night_without_room_is_no_failure_of_the_transfer_that_follows(
    keeper: MoveHeartbeat, board: FakeBoard
) -> None:
    def failing(kind: MoveStep, error: Exception) -> PendingMove:
        with pytest.raises(type(error)), keeper.working(step(kind)):
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
    keeper: MoveHeartbeat, board: FakeBoard, told: list[Event]
) -> None:
    with pytest.raises(PlotRefused), keeper.working(step()):
        raise PlotRefused("3 of 27 proofs fail.")

    move = board.kept[PATH]
    assert move.reason == "refused: 3 of 27 proofs fail."
    assert move.retry_at is not None
    assert move.retry_at > datetime.now(UTC) + timedelta(days=365)
    assert [event.kind for event in told] == ["refused"]
    assert PATH in told[0].text


def test_errors_that_nobody_foresaw_are_told_as_well(keeper: MoveHeartbeat, board: FakeBoard) -> None:
    with pytest.raises(OSError, match="I/O"), keeper.working(step()):
        raise OSError(5, "I/O error")

    assert "I/O error" in (board.kept[PATH].reason or "")


def test_a_worker_that_leaves_fails_nothing_and_lets_others_go_on_at_once(
    keeper: MoveHeartbeat, board: FakeBoard, told: list[Event]
) -> None:
    with pytest.raises(StepInterrupted), keeper.working(step()):
        raise StepInterrupted

    assert board.kept[PATH].attempts == 0
    assert board.kept[PATH].expires_at <= datetime.now(UTC)
    assert board.kept[PATH].retry_at is None
    assert told == []


def test_a_missing_redis_stops_no_step(keeper: MoveHeartbeat, board: FakeBoard) -> None:
    board.away = True

    with keeper.working(step()):
        worked = True

    assert worked


def test_what_is_sent_is_left_with_beat_for_the_harvester(
    board: FakeBoard, keeper: MoveHeartbeat, told: list[Event]
) -> None:
    sending = step(MoveStep.TRANSFER, MoveStep.ADMIT)
    with keeper.working(sending):
        pass
    keeper.hand_over(sending, {"digest": "00"})
    assert board.kept[PATH].step is MoveStep.ADMIT
    assert board.kept[PATH].delivery == {"digest": "00"}
    assert [event.kind for event in told] == ["sent"]


def test_what_is_sent_while_redis_is_away_is_handed_over_when_it_is_back(
    board: FakeBoard, keeper: MoveHeartbeat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move_step, "_REDIS_PAUSE_S", 0.001)
    board.away = True
    thread = threading.Thread(target=keeper.hand_over, args=(step(MoveStep.TRANSFER, MoveStep.ADMIT), {}))
    thread.start()
    thread.join(timeout=0.05)
    assert thread.is_alive()
    board.away = False
    thread.join(timeout=5)
    assert board.kept[PATH].delivery == {}


def test_a_worker_that_leaves_does_not_wait_for_redis(board: FakeBoard, keeper: MoveHeartbeat) -> None:
    class Set:
        def is_set(self) -> bool:
            return True

    board.away = True
    keeper.hand_over(step(MoveStep.TRANSFER, MoveStep.ADMIT), {}, Set())
    assert not board.kept
