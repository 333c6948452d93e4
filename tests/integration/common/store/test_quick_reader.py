"""A look at the board without redis-py sees what redis-py sees, and leaves to it all that is not plain."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
import redis

from common.errors import BrokerError
from common.model.pending import MoveStep, PendingMove
from common.model.snapshot import HarvesterSnapshot, Wait, Waits
from common.names import Role
from common.store import Board
from common.store.board_reader import BoardReader
from common.store.quick_reader import QuickReader, RedisAddress
from tests.integration.common.conftest import Server

NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://far", RedisAddress("far", 6379, None, None, 0)),
        ("redis://:p%40ss@far:6380/3", RedisAddress("far", 6380, None, "p@ss", 3)),
        ("redis://me:pw@[::1]:6380/", RedisAddress("::1", 6380, "me", "pw", 0)),
        ("rediss://far", None),
        ("unix:///run/r.sock", None),
        ("redis://far?socket_timeout=3", None),
        ("redis://far/plots", None),
        ("redis:///3", None),
    ],
)
def test_only_plain_addresses_are_looked_at_without_redis_py(url: str, address: RedisAddress | None) -> None:
    assert RedisAddress.of(url) == address


def test_the_password_does_not_show_when_an_address_is_printed() -> None:
    assert "s3cret" not in repr(RedisAddress.of("redis://:s3cret@far"))


def all_of(board: BoardReader) -> tuple[object, ...]:
    return (
        *(board.last_words(role) for role in Role),
        board.moves(["h1", "h2"]),
        board.waits(),
        board.leader(),
    )


def fill(board: Board) -> None:
    for host in ("h1", "h-2"):
        board.put_snapshot(
            Role.HARVESTER,
            HarvesterSnapshot(host=host, at=NOW, drives=(), problems=("é" * 60_000, "x" * 60_000)),
        )
    board.put_move(
        "h1", PendingMove(path="/d/p", harvester="h1", size_bytes=5, step=MoveStep.RESERVE, expires_at=NOW)
    )
    waits = [Wait(host=host, rule="stagger", reason=f"stagger\r\n{host}") for host in ("h1", "h2")]
    board.put_waits(Waits(beat="b", at=NOW, waits=tuple(waits)))
    board.lease("b").take()


def test_the_quick_reader_sees_the_same_board_whether_it_is_empty_or_full(
    board: Board, server: Server
) -> None:
    quick = QuickReader(server.url)
    assert all_of(quick) == all_of(board)
    fill(board)
    assert all_of(quick) == all_of(board)
    assert quick.waits() is not None
    assert quick.leader() == "b"
    assert quick._full is None  # redis-py was not needed


def test_it_shows_another_database_to_a_user_with_a_password(server: Server) -> None:
    made = redis.Redis.from_url(server.url)
    made.acl_setuser("looker", enabled=True, passwords=["+p w"], keys=["*"], commands=["+@read", "+select"])
    place = server.url.rpartition("@")[2].removesuffix("/0")
    far = f"redis://looker:p%20w@{place}/2"
    fill(Board.connect(server.url.removesuffix("/0") + "/2"))
    quick = QuickReader(far)
    assert list(quick.last_words(Role.HARVESTER)) == ["h-2", "h1"]
    assert quick._full is None


@pytest.mark.parametrize("account", ["nobody:wrong@", ":wrong@"])
def test_a_refusal_reads_as_redis_py_tells_it(server: Server, account: str) -> None:
    url = f"redis://{account}{server.url.rpartition('@')[2]}"
    with pytest.raises(BrokerError, match="does not accept our password") as told:
        QuickReader(url).hosts()
    with pytest.raises(BrokerError) as same:
        Board.connect(url).hosts()
    assert str(told.value) == str(same.value)
    assert "wrong" not in str(told.value)


def test_a_server_that_is_away_is_told_as_by_redis_py() -> None:
    with pytest.raises(BrokerError, match=r"does not answer.*Connection refused"):
        QuickReader("redis://127.0.0.1:1/0").hosts()


@contextmanager
def speaking(answer: bytes) -> Iterator[str]:
    """URL of a server that says only this, to everybody."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    heard, _ = listening.accept()
                except OSError:
                    return
                with heard:
                    heard.recv(1 << 16)
                    heard.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"redis://127.0.0.1:{listening.getsockname()[1]}/0"
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"*2\r\n$5\r\nhal"])
def test_whatever_else_answers_there_ends_in_an_error_with_a_cure(answer: bytes) -> None:
    with speaking(answer) as url, pytest.raises(BrokerError) as told:
        QuickReader(url, patience_s=1).hosts()
    assert told.value.what.startswith("Redis at")


def test_a_server_that_is_slow_is_waited_for_with_redis_pys_patience(board: Board, server: Server) -> None:
    fill(board)
    redis.Redis.from_url(server.url).client_pause(1500)
    quick = QuickReader(server.url)
    assert quick.hosts() == board.hosts()
    assert quick._full is not None
