"""A real Redis that takes no writes, or no clients: each reader names what is wrong, and the cure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from common.errors import BrokerError
from common.model.snapshot import ArchiverSnapshot, Event
from common.names import Role
from common.store import Board
from common.store.quick_reader import QuickReader
from plotman.control.farm import read_farm
from plotman.control.queries import reports
from plotman.notifications.conditions import conditions
from tests.integration.common.conftest import Server
from tests.support.waiting import eventually


@contextmanager
def full_memory(client: redis.Redis) -> Iterator[None]:
    client.config_set("maxmemory", 1)
    yield
    client.config_set("maxmemory", 0)


@contextmanager
def replica(client: redis.Redis) -> Iterator[None]:
    client.replicaof("127.0.0.1", 1)
    yield
    client.replicaof("NO", "ONE")


@contextmanager
def failed_save(client: redis.Redis) -> Iterator[None]:
    in_the_way = Path(client.config_get("dir")["dir"], "dump.rdb")
    in_the_way.mkdir()
    client.config_set("save", "3600 1")
    client.bgsave()
    eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", "the save has failed")
    yield
    in_the_way.rmdir()
    client.bgsave()
    eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "ok", "it is saved")


TROUBLES = [
    (full_memory, "its memory is full", "Redis' memory is full, so that it refuses writes: ", "maxmemory"),
    (replica, "it is a read-only replica", "it is a read-only replica of 127.0.0.1:1.", "replicaof no one"),
    (failed_save, "it cannot save its data to its disk", "it cannot write its dump to its disk.", "bgsave"),
]


@pytest.mark.parametrize(("trouble", "refused", "reported", "cure"), TROUBLES)
def test_a_redis_that_refuses_writes_is_named_instead_of_its_hosts(
    server: Server, board: Board, trouble: object, refused: str, reported: str, cure: str
) -> None:
    board.put_snapshot(Role.ARCHIVER, ArchiverSnapshot(host="h1", at=datetime.now(UTC)))
    assert board.trouble() is None
    with redis.Redis.from_url(server.url, decode_responses=True) as client, trouble(client):  # type: ignore[operator]
        happened = Event(kind="test", host="h1", at=datetime.now(UTC), text="it happened")
        with pytest.raises(BrokerError, match=f"refuses writes: {refused}") as error:
            board.tell(happened)
        assert cure in error.value.cure
        for reader in (board, QuickReader(server.url)):
            farm = read_farm(reader)
            farm = type(farm)(**{**vars(farm), "stale": frozenset({(Role.ARCHIVER, "h1")})})
            notes = reports.notes(farm)
            assert reported in notes[0]
            assert cure in notes[0]
            assert not any("silent" in note for note in notes)
            assert not any(one.kind == "host-stale" for one in conditions(farm, {"archiver@h2"}, 60))
    board.tell(happened)
    assert board.trouble() is None


def test_a_redis_without_free_connections_says_so(server: Server, board: Board) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxclients", 20)
        board.ping()
        others = [redis.Redis.from_url(server.url) for _ in range(18)]
        for other in others:
            other.ping()
        try:
            assert "Redis has 20 of at most 20 clients (maxclients), and refuses more." in str(
                board.trouble()
            )
            with closing(Board.connect(server.url)) as another:
                with pytest.raises(BrokerError, match="takes no more clients") as error:
                    another.ping()
                assert "maxclients" in error.value.cure
        finally:
            for other in others:
                other.close()
