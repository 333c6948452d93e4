"""What another machine wrote on the notice board that no plotman writes: it costs itself, and nobody else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from common.errors import TicketRefused
from common.model.pending import MoveStep, PendingMove
from common.names import Keys, Role
from common.store import Board
from common.store.quick_reader import RawConnection, RedisAddress

PLOT_ID = "ab" * 32
MOVE = PendingMove(
    path="/dst/a.plot",
    harvester="h1",
    size_bytes=7,
    step=MoveStep.TRANSFER,
    expires_at=datetime.now(UTC) + timedelta(hours=1),
)


def test_a_ticket_that_is_no_text_is_refused(board: Board, server: Any) -> None:
    with redis.Redis.from_url(server.url) as client:
        for value in (b"\xff\xfe", b'{"plot_id": "\xff"}', b"\0" * 1000, b""):
            client.set(Keys.ticket("h1", "p1", PLOT_ID), value)
            with pytest.raises(TicketRefused):
                board.ticket("h1", "p1", PLOT_ID)
    assert board.ticket("h1", "p2", PLOT_ID) is None


@pytest.mark.parametrize(
    "forged",
    [
        b"\xff\xfe",
        MOVE.model_copy(update={"attempts": -5}).model_dump_json().encode(),
        MOVE.model_copy(update={"attempts": 10**30}).model_dump_json().encode(),
        MOVE.model_dump_json().encode().replace(b"/dst/a", b"/dst/\xff"),
        MOVE.model_dump_json().encode().replace(b'"size_bytes":7', b'"size_bytes":1' + b"0" * 400),
        MOVE.model_copy(update={"expires_at": datetime.max.replace(tzinfo=UTC)}).model_dump_json().encode(),
        MOVE.model_copy(update={"retry_at": datetime.min.replace(tzinfo=UTC)}).model_dump_json().encode(),
    ],
    ids=[
        "no text",
        "negative attempts",
        "endless attempts",
        "a path that is no text",
        "more bytes than a number holds",
        "the end of time",
        "the beginning of time",
    ],
)
def test_a_forged_move_hides_no_other(board: Board, server: Any, forged: bytes) -> None:
    board.put_move("p1", MOVE)
    with redis.Redis.from_url(server.url) as client:
        client.hset(Keys.HOSTS, f"{Role.PLOTTER}@p1", datetime.now(UTC).isoformat())
        client.hset(Keys.moves("p1"), "forged", forged)

    moves = board.moves(["p1"])["p1"]
    assert board.reader().read().moves["p1"] == moves
    assert MOVE in moves
    assert {move.attempts for move in moves} == {0}
    address = RedisAddress.of(server.url)
    assert address is not None
    connection = RawConnection(address, 5)
    assert len(connection.ask(("HVALS", Keys.moves("p1")))[0]) == 2
    connection.close()
