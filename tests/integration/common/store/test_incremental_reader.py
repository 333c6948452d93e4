"""The board, looked at again and again: what is new is seen, and what is not is not read twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from common.model.board_state import BoardState
from common.model.pending import MoveStep, PendingMove, PendingOrder
from common.model.snapshot import ArchiverSnapshot, HarvesterSnapshot
from common.names import PENDING_MAX, Keys, Role
from common.store import Board, incremental_reader
from common.store.incremental_reader import _MOST_BYTES, IncrementalReader
from tests.integration.common.conftest import Server
from tests.support.told import plotter

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def said(host: str, *problems: str, second: int = 0) -> ArchiverSnapshot:
    return ArchiverSnapshot(host=host, at=NOW + timedelta(seconds=second), problems=problems)


def order(task_id: str) -> PendingOrder:
    return PendingOrder(
        task_id=task_id,
        start_token="a:1",
        tmp="/t",
        dst=None,
        sent_at=NOW,
        expires_at=NOW + timedelta(seconds=30),
    )


def test_an_empty_board_shows_nobody(board: Board) -> None:
    reader = board.reader()
    assert reader.read() == BoardState()


def test_a_snapshot_that_did_not_change_is_the_same_object_at_the_next_look(board: Board) -> None:
    for host in ("p1", "p2"):
        board.put_snapshot(Role.ARCHIVER, said(host))
    reader = board.reader()
    before = reader.read().archivers
    board.put_snapshot(Role.ARCHIVER, said("p2", "its fan is loud", second=1))
    after = reader.read().archivers
    assert after == {"p1": said("p1"), "p2": said("p2", "its fan is loud", second=1)}
    assert after["p1"] is before["p1"]


def test_progress_is_not_read_until_the_next_thing_to_decide_on(board: Board) -> None:
    board.put_snapshot(Role.ARCHIVER, said("p1"))
    reader = board.reader()
    reader.read()
    board.put_snapshot(Role.ARCHIVER, said("p1", "progress", second=1), decisive=False)
    assert reader.read().archivers == {"p1": said("p1")}
    assert board.snapshots(Role.ARCHIVER) == {"p1": said("p1", "progress", second=1)}  # operators see it
    board.put_snapshot(Role.ARCHIVER, said("p1", "news", second=2))
    assert reader.read().archivers == {"p1": said("p1", "news", second=2)}


def test_a_host_of_an_older_plotman_whose_sign_of_life_never_changes_is_read_each_time(
    board: Board, server: Server
) -> None:
    board.put_snapshot(Role.ARCHIVER, said("p1"))
    reader = board.reader()
    with redis.Redis.from_url(server.url) as client:
        for second in (1, 2):
            news = said("p1", "news", second=second)
            client.set(Keys.snapshot(Role.ARCHIVER, "p1"), news.model_dump_json())
            client.set(Keys.alive(Role.ARCHIVER, "p1"), "0f2c6d5e-3a4b-4c1d-8e9f-a0b1c2d3e4f5 2049:131")
            assert reader.read().archivers == {"p1": news}


def test_the_last_snapshot_of_a_worker_that_was_stopped_is_read(board: Board) -> None:
    running = HarvesterSnapshot(host="h1", at=NOW, drives=())
    board.put_snapshot(Role.HARVESTER, running)
    reader = board.reader()
    assert reader.read().harvesters == {"h1": running}
    stopped = running.model_copy(update={"stopped": True})
    board.put_snapshot(Role.HARVESTER, stopped)
    after = reader.read()
    assert (after.harvesters, after.lost_harvesters) == ({}, {"h1": stopped})
    assert reader.read().lost_harvesters["h1"] is after.lost_harvesters["h1"]  # read once


def test_who_falls_silent_is_gone_and_who_comes_back_is_there(board: Board, server: Server) -> None:
    board.put_snapshot(Role.ARCHIVER, said("p1"))
    reader = board.reader()
    assert reader.read().archivers
    with redis.Redis.from_url(server.url) as client:
        client.delete(Keys.alive(Role.ARCHIVER, "p1"))
        assert reader.read().archivers == {}
        board.put_snapshot(Role.ARCHIVER, said("p1", second=60))
        assert reader.read().archivers == {"p1": said("p1", second=60)}
        client.flushall()
    assert reader.read() == BoardState()
    board.put_snapshot(Role.HARVESTER, HarvesterSnapshot(host="h1", at=NOW, drives=()))
    assert set(reader.read().harvesters) == {"h1"}


def test_of_a_plotter_that_falls_silent_the_last_word_is_kept_apart(board: Board, server: Server) -> None:
    for host in ("quiet", "loud"):
        board.put_snapshot(Role.PLOTTER, plotter(host=host))
    board.put_snapshot(Role.ARCHIVER, said("quiet"))
    reader = board.reader()
    assert reader.read().lost_plotters == {}
    with redis.Redis.from_url(server.url) as client:
        for role in (Role.PLOTTER, Role.ARCHIVER):
            client.delete(Keys.alive(role, "quiet"))
    for each in (reader, board.reader()):  # also one that never saw it alive
        look = each.read()
        assert (set(look.plotters), look.lost_plotters) == (
            {"loud"},
            {"quiet": plotter(host="quiet")},
        )
    board.put_snapshot(Role.PLOTTER, plotter(host="quiet"))
    assert reader.read().lost_plotters == {}


def test_what_cannot_be_read_hides_one_host_only(
    board: Board, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    for host in ("bad", "good"):
        board.put_snapshot(Role.ARCHIVER, said(host))
    with redis.Redis.from_url(server.url) as client:
        client.set(Keys.snapshot(Role.ARCHIVER, "bad"), "{garbage")
        client.hset(Keys.HOSTS, "somebody@else", "now")
    reader = board.reader()
    for look in (reader.read(), reader.read()):
        assert set(look.archivers) == {"good"}
        assert set(look.spoilt) == {"bad"}
        assert "plotman:host:bad:archiver cannot be read: it: Invalid JSON" in look.spoilt["bad"]
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        assert client.hkeys(Keys.HOSTS) == ["archiver@bad", "archiver@good"]


def test_orders_and_moves_are_those_of_each_plotter(board: Board, server: Server) -> None:
    reader = board.reader()
    move = PendingMove(path="/d/a.plot", harvester="h1", size_bytes=1, step=MoveStep.ADMIT, expires_at=NOW)
    for host in ("p1", "p2", "p3"):
        board.put_snapshot(Role.PLOTTER, plotter(host=host))
    board.put_order("p2", order("one"))
    board.put_order("p3", order("two"))
    board.put_move("p3", move)
    look = reader.read()
    assert (look.orders, look.moves) == ({"p2": [order("one")], "p3": [order("two")]}, {"p3": [move]})
    board.drop_orders("p2", ["one"])
    board.put_move("p3", move.model_copy(update={"attempts": 2}))
    look = reader.read()
    assert (look.orders, look.moves["p3"][0].attempts) == ({"p3": [order("two")]}, 2)


def test_the_last_word_of_a_harvester_that_falls_silent_is_kept(board: Board, server: Server) -> None:
    last = HarvesterSnapshot(host="h1", at=NOW, drives=(), taken_in=("a",), arriving={"b": "p1"})
    board.put_snapshot(Role.HARVESTER, last)
    reader = board.reader()
    assert (reader.read().harvesters, reader.read().lost_harvesters) == ({"h1": last}, {})
    with redis.Redis.from_url(server.url) as client:
        client.delete(Keys.alive(Role.HARVESTER, "h1"))
    for each in (reader, board.reader()):
        assert (each.read().harvesters, each.read().lost_harvesters) == ({}, {"h1": last})


def test_what_would_stay_and_no_plotman_writes_is_deleted_and_shown_and_nothing_else(
    board: Board, server: Server
) -> None:
    for host in ("p1", "p2"):
        board.put_snapshot(Role.PLOTTER, plotter(host=host))
        board.put_order(host, order("a"))
        board.put_snapshot(Role.ARCHIVER, said(host))
    with redis.Redis.from_url(server.url) as client:
        client.config_set("proto-max-bulk-len", "512mb")  # as a server of an older release
        client.set(Keys.orders("p1"), "no hash")
        client.hset(Keys.moves("p1"), mapping={str(number): "x" for number in range(PENDING_MAX + 1)})
        client.set(Keys.snapshot(Role.ARCHIVER, "p1"), b"x" * (_MOST_BYTES + 1))
        client.hset(Keys.HOSTS, mapping={"archiver@never": "now", "no node": "now"})
        state = board.reader().read()
        left = {key for key in ("orders", "moves", "archiver") if client.exists(f"plotman:host:p1:{key}")}
        listed = {field.decode() for field in client.hkeys(Keys.HOSTS)}
    assert left == set()
    assert all(key in state.spoilt["p1"] for key in ("p1:orders", "p1:moves", "p1:archiver"))
    assert listed == {f"{role}@{host}" for role in ("plotter", "archiver") for host in ("p1", "p2")}
    assert state.archivers == {"p2": said("p2")}
    assert [each.task_id for each in state.orders["p2"]] == ["a"]
    assert board.orders(["p2"])["p2"]


def test_a_list_of_hosts_that_cannot_be_sent_keeps_those_that_beat_knows(
    board: Board, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.store.incremental_reader._NAMES_MAX", 3)
    for host in ("p1", "p2"):
        board.put_snapshot(Role.ARCHIVER, said(host))
    with redis.Redis.from_url(server.url) as client:
        longest, too_long = "archiver@" + "x" * 253, "x" * 321
        client.hset(Keys.HOSTS, longest, "now")
        client.set(Keys.snapshot(Role.ARCHIVER, "x" * 253), "x")
        reader = board.reader()
        assert set(reader.read().archivers) == {"p1", "p2"}
        assert client.hexists(Keys.HOSTS, longest)
        client.hdel(Keys.HOSTS, longest)
        client.hset(Keys.HOSTS, too_long, "now")
        assert set(reader.read().archivers) == {"p1", "p2"}
        assert not client.hexists(Keys.HOSTS, too_long)
        since = client.hget(Keys.HOSTS, "archiver@p1")
        client.hset(Keys.HOSTS, mapping={"archiver@a": "now", "archiver@b": "now"})
        assert set(reader.read().archivers) == {"p1", "p2"}
        assert set(client.hkeys(Keys.HOSTS)) == {b"archiver@p1", b"archiver@p2"}
        assert client.hget(Keys.HOSTS, "archiver@p1") == since
        client.hset(Keys.HOSTS, mapping={"archiver@a": "now", "archiver@b": "now"})
        assert board.reader().read().archivers == {}, "a beat that has just begun knows none"
    board.put_snapshot(Role.ARCHIVER, said("p2", second=9))
    assert set(reader.read().archivers) == {"p2"}


def test_records_of_all_hosts_together_fit_into_one_answer(
    board: Board, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any harvester may write into the records of each plotter."""
    monkeypatch.setattr(incremental_reader, "_FILLED_LIMITS", ("100", "300000", "5000", "500000"))
    for host in ("p1", "p2", "p3", "p4"):
        board.put_snapshot(Role.PLOTTER, plotter(host=host))
        board.put_order(host, order(host))
    with redis.Redis.from_url(server.url) as client:
        for host, size_bytes in (("p1", 200_000), ("p2", 200_000), ("p3", 200_000), ("p4", 4_000)):
            client.hset(Keys.moves(host), "x", "x" * size_bytes)
        state = board.reader().read()
        assert [bool(client.exists(Keys.moves(host))) for host in state.plotters] == [True, True, False, True]
    assert "too long, and is deleted" in state.spoilt["p3"]
    assert {host: one.task_id for host, (one,) in state.orders.items()} == {
        host: host for host in ("p1", "p2", "p3", "p4")
    }


def test_a_sign_of_life_that_is_too_long_is_deleted_and_shown(board: Board, server: Server) -> None:
    for host in ("p1", "p2"):
        board.put_snapshot(Role.ARCHIVER, said(host), mark="m" * 200)
    reader, key = board.reader(), Keys.alive(Role.ARCHIVER, "p1")
    assert set(reader.read().archivers) == {"p1", "p2"}
    with redis.Redis.from_url(server.url) as client:
        client.set(key, "x" * 321)
        state = reader.read()
        assert set(state.archivers) == {"p2"}
        assert key in state.spoilt["p1"]
        assert not client.exists(key)
        assert client.exists(Keys.alive(Role.ARCHIVER, "p2"))
    board.put_snapshot(Role.ARCHIVER, said("p1", second=9))
    assert set(reader.read().archivers) == {"p1", "p2"}


class Counting(redis.Redis):
    """A client that counts its readings of texts.

    closed: whether the server closes the connection of each, as Redis does if an answer is larger than its
    output buffer; Valkey's limit does not count plain answers.
    """

    texts_read = 0
    closed = False

    def mget(self, *args: Any, **kwargs: Any) -> Any:
        self.texts_read += 1
        if self.closed:
            raise redis.ConnectionError("Connection closed by server.")
        return super().mget(*args, **kwargs)


@pytest.fixture
def own(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    monkeypatch.setattr(incremental_reader, "_FEW_KEYS", 0)
    with Counting.from_url(server.url, decode_responses=True) as client:
        assert isinstance(client, Counting)
        yield client


def test_texts_whose_answer_redis_does_not_send_are_read_by_the_script_that_cuts_them(
    board: Board, server: Server, own: Counting
) -> None:
    own.closed = True
    for host in ("p1", "p2"):
        board.put_snapshot(Role.ARCHIVER, said(host))
    reader = IncrementalReader(own, server.url)
    assert reader.read().archivers == {"p1": said("p1"), "p2": said("p2")}
    board.put_snapshot(Role.ARCHIVER, said("p1", second=1))
    assert reader.read().archivers == {"p1": said("p1", second=1), "p2": said("p2")}
    assert own.texts_read == 1, "for a while the script reads them all"


def test_a_text_that_is_too_long_is_not_read_at_all_and_the_others_are(
    board: Board, server: Server, own: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incremental_reader, "_MOST_BYTES", 100_000)
    with redis.Redis.from_url(server.url) as other:
        for host in ("p1", "p2"):
            board.put_snapshot(Role.ARCHIVER, said(host))
            other.set(Keys.snapshot(Role.ARCHIVER, "p1"), "x" * 100_001)
            read = IncrementalReader(own, server.url).read()
            assert "too long" in read.spoilt["p1"]
            assert read.archivers.keys() == {host} - {"p1"}
    assert own.texts_read == 1
