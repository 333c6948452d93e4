"""The notice board on a real Redis: what is put up is read, what is wiped comes again, who is silent goes."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from common.errors import BrokerError
from common.model.pending import MoveStep, PendingMove, PendingOrder
from common.model.snapshot import ArchiverSnapshot, Event, HarvesterSnapshot, Wait, Waits
from common.names import (
    ADMITTED_LIFETIME,
    EVENTS_MAX,
    LAST_WORD_TTL,
    MOVE_LIFETIME,
    Keys,
    Role,
    queue,
)
from common.store import Board
from tests.integration.common.conftest import Server
from tests.support.waiting import eventually

NOW = datetime.now(UTC)


def harvester(host: str = "h1") -> HarvesterSnapshot:
    return HarvesterSnapshot(host=host, at=NOW, drives=())


def event(number: int) -> Event:
    return Event(kind="test", host="h1", at=NOW, text=str(number))


def order(task_id: str) -> PendingOrder:
    return PendingOrder(
        task_id=task_id,
        start_token="a:1",
        tmp="/t",
        dst=None,
        sent_at=NOW,
        expires_at=NOW + timedelta(seconds=30),
    )


def move(path: str) -> PendingMove:
    return PendingMove(path=path, harvester="h1", size_bytes=5, step=MoveStep.RESERVE, expires_at=NOW)


def test_what_is_put_up_is_read_as_it_was(board: Board) -> None:
    board.put_snapshot(Role.HARVESTER, harvester("h1"))
    board.put_snapshot(Role.ARCHIVER, ArchiverSnapshot(host="h1", at=NOW))
    board.put_order("h1", order("a"))
    board.put_order("h1", order("b"))
    board.put_move("h1", move("/d/p.plot"))
    waits = Waits(beat="b", at=NOW, waits=(Wait(host="h1", rule="stagger", reason="stagger 1s/6s"),))
    board.put_waits(waits)
    assert board.snapshots(Role.HARVESTER) == {"h1": harvester("h1")}
    assert board.snapshots(Role.ARCHIVER) == {"h1": ArchiverSnapshot(host="h1", at=NOW)}
    assert board.snapshots(Role.PLOTTER) == {}
    assert {found.task_id for found in board.orders(["h1", "h2"])["h1"]} == {"a", "b"}
    assert board.moves(["h2"]) == {}
    assert board.moves(["h1"]) == {"h1": [move("/d/p.plot")]}
    assert board.waits() == waits
    board.drop_orders("h1", ["a"])
    assert [found.task_id for found in board.orders(["h1"])["h1"]] == ["b"]
    board.drop_move("h1", "/d/p.plot")
    assert board.moves(["h1"]) == {}


def test_of_what_is_waited_for_only_what_changed_is_put_up_anew(board: Board, server: Server) -> None:
    def wait(host: str, reason: str) -> Wait:
        return Wait(host=host, rule="stagger", reason=reason)

    def reasons() -> list[str]:
        found = board.waits()
        return [each.reason for each in found.waits] if found else []

    told = Waits(beat="b", at=NOW)
    assert board.put_waits(told, {"p1": [wait("p1", "1s/6s")], "p2": [wait("p2", "2s/6s")]}) == 2
    assert board.put_waits(told, {"p2": [wait("p2", "3s/6s")]}) == 2
    assert reasons() == ["1s/6s", "3s/6s"]
    assert board.put_waits(told, {}, gone=["p1"]) == 1
    assert reasons() == ["3s/6s"]
    with redis.Redis.from_url(server.url) as client:
        client.hset(Keys.WAITS, "p3", "no json")
    assert reasons() == ["3s/6s"]
    server.wipe()
    assert board.put_waits(told, {}) == 0  # fewer than beat knows of: it puts up all again
    assert board.waits() == told


def test_a_wiped_redis_is_an_empty_board_and_fills_again(board: Board, server: Server) -> None:
    board.put_snapshot(Role.HARVESTER, harvester())
    board.tell(event(1))
    heard = board.last_event_id()
    server.wipe()
    assert board.hosts() == {role: [] for role in Role}
    assert board.snapshots(Role.HARVESTER) == board.orders(["h1"]) == board.moves(["h1"]) == {}
    assert board.waits() is None
    assert board.newest_events(10) == board.events(heard) == []
    board.put_snapshot(Role.HARVESTER, harvester())
    assert board.snapshots(Role.HARVESTER) == {"h1": harvester()}
    # Ids are times: one from before the wipe reads what is written after it.
    board.tell(event(2))
    assert [told.text for _, told in board.events(heard)] == ["2"]


def test_whoever_puts_up_a_snapshot_learns_who_did_so_last_and_others_see_no_difference(
    board: Board, server: Server
) -> None:
    assert board.put_snapshot(Role.HARVESTER, harvester(), mark="boot1 8:1") is None
    assert board.put_snapshot(Role.HARVESTER, harvester(), decisive=False, mark="boot2 8:1") == "boot1 8:1"
    assert board.put_snapshot(Role.HARVESTER, harvester(), mark="boot2 8:1") == "boot2 8:1"
    assert board.snapshots(Role.HARVESTER) == {"h1": harvester()}
    with redis.Redis.from_url(server.url) as client:
        client.delete(Keys.alive(Role.HARVESTER, "h1"))  # nobody for 45 s
    assert board.put_snapshot(Role.HARVESTER, harvester(), mark="boot2 8:1") is None


def test_a_host_that_is_silent_is_not_decided_on_but_its_last_word_stays(
    board: Board, server: Server
) -> None:
    board.put_snapshot(Role.HARVESTER, harvester("quiet"))
    board.put_snapshot(Role.HARVESTER, harvester("loud"))
    with redis.Redis.from_url(server.url) as client:
        assert 0 < client.ttl(Keys.alive(Role.HARVESTER, "quiet")) <= 45
        client.pexpire(Keys.alive(Role.HARVESTER, "quiet"), 50)  # 45 s are too long for a test
    eventually(lambda: set(board.snapshots(Role.HARVESTER)) == {"loud"}, "the silent one is gone", 5)
    assert board.last_words(Role.HARVESTER)["quiet"] == (harvester("quiet"), False)
    board.put_snapshot(Role.HARVESTER, harvester("quiet"))
    assert set(board.snapshots(Role.HARVESTER)) == {"loud", "quiet"}


def test_a_silent_host_is_struck_off_with_all_that_stands_of_it_and_nobody_else(
    board: Board, server: Server
) -> None:
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        for host in ("gone", "there"):
            board.put_snapshot(Role.HARVESTER, harvester(host))
            board.put_snapshot(Role.ARCHIVER, ArchiverSnapshot(host=host, at=NOW))
            board.put_order(host, order("a"))
            board.put_move(host, move("/d/p.plot"))
            for role in Role:
                client.lpush(queue(role, host), "message")
        waits = tuple(Wait(host=host, rule="stagger", reason="1s/6s") for host in ("gone", "there"))
        board.put_waits(Waits(beat="b", at=NOW, waits=waits))
        before = set(client.keys())
        client.delete(Keys.alive(Role.HARVESTER, "gone"))
        assert not board.forget_host("gone")  # its archiver is alive
        assert set(client.keys()) == before - {Keys.alive(Role.HARVESTER, "gone")}

        client.delete(Keys.alive(Role.ARCHIVER, "gone"))
        assert board.forget_host("gone")
        assert set(client.keys()) == {key for key in before if "gone" not in key}
    assert board.hosts() == {role: [] if role is Role.PLOTTER else ["there"] for role in Role}
    said = board.waits()
    assert said is not None
    assert [wait.host for wait in said.waits] == ["there"]
    assert board.forget_host("gone")  # written twice, it harms nothing
    board.put_snapshot(Role.HARVESTER, harvester("gone"))
    assert set(board.snapshots(Role.HARVESTER)) == {"gone", "there"}


def test_a_role_that_is_withdrawn_is_gone_at_once_and_no_other(board: Board) -> None:
    for host in ("gone", "there"):
        board.put_snapshot(Role.HARVESTER, harvester(host))
    board.withdraw(Role.HARVESTER, "gone")
    assert set(board.snapshots(Role.HARVESTER)) == {"there"}
    assert board.sign_of_life(Role.HARVESTER, "gone") is None
    assert board.sign_of_life(Role.HARVESTER, "there") is not None


def test_an_order_is_forgotten_when_its_time_is_over(board: Board, server: Server) -> None:
    board.put_order("h1", order("a"))
    with redis.Redis.from_url(server.url) as client:
        assert 0 < client.ttl(Keys.orders("h1")) <= 30


def test_one_notice_that_cannot_be_read_does_not_hide_the_others(board: Board, server: Server) -> None:
    board.put_snapshot(Role.HARVESTER, harvester("good"))
    board.put_snapshot(Role.HARVESTER, harvester("bad"))
    board.put_order("h1", order("a"))
    heard = board.last_event_id()
    with redis.Redis.from_url(server.url) as client:
        client.set(Keys.snapshot(Role.HARVESTER, "bad"), "{")
        client.hset(Keys.orders("h1"), "b", '{"task_id": 5}')
        client.hset(Keys.HOSTS, "somebody@else", "now")
        client.xadd(Keys.EVENTS, {"event": "no json"})
        client.xadd(Keys.EVENTS, {"other": "field"})
    board.tell(event(1))
    assert set(board.snapshots(Role.HARVESTER)) == {"good"}
    assert [found.task_id for found in board.orders(["h1"])["h1"]] == ["a"]
    assert [told.text for _, told in board.events(heard)] == ["1"]


def test_whoever_waits_for_events_is_woken_by_the_next_one(board: Board, server: Server) -> None:
    heard = board.last_event_id()
    began = time.monotonic()
    assert board.events(heard, wait_s=0.1) == []
    assert 0.08 < time.monotonic() - began < 2
    teller = threading.Timer(0.2, lambda: Board.connect(server.url).tell(event(1)))
    teller.start()
    began = time.monotonic()
    told = board.events(heard, wait_s=8)
    assert time.monotonic() - began < 6
    assert [happened.text for _, happened in told] == ["1"]
    assert board.events(told[-1][0]) == []
    teller.join()


def test_an_event_that_cannot_be_read_wakes_nobody(board: Board, server: Server) -> None:
    with redis.Redis.from_url(server.url) as client:
        for _ in range(3):
            client.xadd(Keys.EVENTS, {"event": "{garbage"})
    began = time.monotonic()
    assert board.events("0", wait_s=0.3) == []
    assert time.monotonic() - began > 0.25
    board.tell(event(1))
    assert [one.text for _, one in board.events("0", wait_s=5)] == ["1"]


def test_the_stream_of_events_is_bounded(board: Board, server: Server) -> None:
    with redis.Redis.from_url(server.url) as client:
        with client.pipeline(transaction=False) as pipe:
            for _ in range(EVENTS_MAX + 500):
                pipe.xadd(Keys.EVENTS, {"event": "old"})
            pipe.execute()
        board.tell(event(1))
        assert client.xlen(Keys.EVENTS) < EVENTS_MAX + 200


def test_an_absent_redis_is_told_with_its_address_and_a_cure_and_without_its_password(
    board: Board, server: Server
) -> None:
    server.kill()
    with pytest.raises(BrokerError) as raised:
        board.snapshots(Role.PLOTTER)
    assert "plotman up" in str(raised.value)
    password = server.url.split(":")[2].split("@")[0]
    assert len(password) > 8
    assert password not in str(raised.value) + repr(board)


def test_a_stream_of_which_nothing_is_kept_is_waited_on(board: Board, server: Server) -> None:
    """XREAD answers at once then, with no entries."""
    board.tell(event(1))
    heard = board.last_event_id()
    with redis.Redis.from_url(server.url) as client:
        client.execute_command("XADD", Keys.EVENTS, "MAXLEN", "0", "*", "event", "x")
        asked = client.info("commandstats")["cmdstat_xread"]["calls"] if board.events("0") else 0
        assert board.events(heard) == []
        began = time.monotonic()
        assert board.events(heard, wait_s=0.4) == []
        assert time.monotonic() - began > 0.3
        assert client.info("commandstats")["cmdstat_xread"]["calls"] - asked < 10
    board.tell(event(2))
    assert [one.text for _, one in board.events(heard, wait_s=5)] == ["2"]


def test_garbage_of_any_length_is_passed_once(board: Board, server: Server) -> None:
    with redis.Redis.from_url(server.url) as client, client.pipeline(transaction=False) as pipe:
        for _ in range(3000):
            pipe.xadd(Keys.EVENTS, {"event": "x"})
        pipe.execute()
    assert board.events("0", most=2) == []  # without a call for each two of them on the stack
    board.tell(event(1))
    assert [one.text for _, one in board.events("0", most=2)] == ["1"]


def test_garbage_without_end_keeps_nobody_longer_than_he_waits(board: Board, server: Server) -> None:
    heard, ended = board.last_event_id(), threading.Event()

    def flood() -> None:
        with redis.Redis.from_url(server.url) as client, client.pipeline(transaction=False) as pipe:
            while not ended.is_set():
                for _ in range(500):
                    pipe.xadd(Keys.EVENTS, {"event": "x"}, maxlen=5000)
                pipe.execute()

    flooding = threading.Thread(target=flood)
    flooding.start()
    try:
        for wait_s in (0, 1):
            began = time.monotonic()
            assert board.events(heard, wait_s=wait_s) == []
            assert time.monotonic() - began < wait_s + 2
    finally:
        ended.set()
        flooding.join()


def test_large_entries_are_passed_a_few_at_a_time_and_are_not_parsed(board: Board, server: Server) -> None:
    huge = event(1).model_copy(update={"text": "x"}).model_dump_json().replace('"x"', f'"{"x" * 4_000_000}"')
    board.tell(event(0))
    with redis.Redis.from_url(server.url) as client:
        for _ in range(30):
            client.xadd(Keys.EVENTS, {"event": huge})
    board.tell(event(2))
    largest = 0

    class Watched(redis.Redis):
        def execute_command(self, *args: Any, **options: Any) -> Any:
            nonlocal largest
            answer = super().execute_command(*args, **options)
            largest = max(largest, len(str(answer)))
            return answer

    watched = Board(Watched.from_url(server.url, decode_responses=True), server.url)
    texts, after = [], "0"

    def read() -> bool:
        nonlocal after
        found = watched.events(after)
        texts.extend(one.text for _, one in found)
        after = found[-1][0] if found else after
        return texts[-1:] == ["2"]

    eventually(read, "the event after them is read", 30)
    assert texts == ["0", "2"]
    assert largest < 15 * 4_000_000
    with redis.Redis.from_url(server.url) as client:
        client.delete(Keys.EVENTS)


def test_more_events_than_are_read_at_once_come_in_order(board: Board) -> None:
    for number in range(137):
        board.tell(event(number))
    assert [one.text for _, one in board.events("0")] == [str(number) for number in range(137)]
    assert [one.text for _, one in board.events("0", most=20)] == [str(number) for number in range(20)]
    assert [one.text for _, one in board.newest_events(90)] == [str(number) for number in range(47, 137)]


def test_an_event_that_is_added_while_a_trimmed_stream_is_seen_is_not_lost(
    board: Board, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some servers answer at once if all after an id was trimmed."""
    board.tell(event(1))
    heard = board.last_event_id()
    real, other = board._read_stream, Board.connect(server.url)
    trimmed = [True]

    def read(after: str, count: int, block_ms: int | None) -> Any:
        if trimmed:
            trimmed.clear()
            other.tell(event(2))
            return []
        return real(after, count, block_ms)

    monkeypatch.setattr(board, "_read_stream", read)
    assert [one.text for _, one in board.events(heard, wait_s=3)] == ["2"]


def test_a_user_of_an_older_acl_file_decides_without_a_look_at_the_streams_state(
    board: Board, server: Server
) -> None:
    board.tell(event(1))
    with redis.Redis.from_url(server.url) as client:
        account = client.acl_whoami()
        client.acl_setuser(account, enabled=True, commands=["+@all", "-xinfo|stream"])
    assert not board.heal_events(thorough=True)
    assert board.last_event_id() != "0"
    assert board.put_ordered("p1", "/d/a.plot", "m", "h1")
    assert board.is_ordered("p1", "/d/a.plot", "m", "h1")
    assert not board.is_ordered("p1", "/d/a.plot", "m", "h2")
    assert not board.is_ordered("p1", "/d/a.plot", None, "h1")
    with redis.Redis.from_url(server.url) as client:
        client.acl_setuser(account, enabled=True, reset_keys=True, keys=["plotman:events"])
    try:
        assert not board.put_ordered("p1", "/d/b.plot", "m", "h1")
    finally:
        with redis.Redis.from_url(server.url) as client:
            client.acl_setuser(account, enabled=True, keys=["*"])


def test_only_what_is_broken_is_deleted(board: Board, server: Server) -> None:
    assert not board.heal_events(thorough=True)
    board.tell(event(1))
    board.put_order("h1", order("a"))
    board.put_move("h1", move("/d/p.plot"))
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        client.lpush(queue(Role.PLOTTER, "h1"), "message")
        client.sadd("_kombu.binding.plotter.h1", "x")
        before = set(client.keys())
        assert not board.heal_events(thorough=True)
        assert board.heal_host("h1") == []
        assert set(client.keys()) == before

        client.set(queue(Role.ARCHIVER, "h1"), "x")
        client.set("_kombu.binding.archive.h1", "x")
        client.xadd(Keys.EVENTS, {"event": "x"}, id=f"{int(time.time() * 1000) + 10**9}-1")
        assert set(board.heal_host("h1")) == {queue(Role.ARCHIVER, "h1"), "_kombu.binding.archive.h1"}
        assert board.heal_events(thorough=True)
        assert set(client.keys()) == before - {Keys.EVENTS}


def test_an_admission_counts_for_its_harvester_its_move_and_its_plot_only(
    board: Board, server: Server
) -> None:
    board.put_admitted("h1", "p1", "m", "/d/a.plot", "0f")
    assert board.is_admitted("h1", "p1", "m", "/d/a.plot", "0f")
    others = (
        ("h2", "p1", "m", "/d/a.plot", "0f"),
        ("h1", "p2", "m", "/d/a.plot", "0f"),
        ("h1", "p1", "n", "/d/a.plot", "0f"),
        ("h1", "p1", None, "/d/a.plot", "0f"),
        ("h1", "p1", "m", "/d/b.plot", "0f"),
        ("h1", "p1", "m", "/d/a.plot", "f0"),
        ("h1", "p1", "m", "/d/a.plot", ""),
    )
    assert not any(board.is_admitted(*other) for other in others)
    with redis.Redis.from_url(server.url) as client:
        kept_s = client.ttl(Keys.admitted("h1", "p1", "m"))
    assert MOVE_LIFETIME.total_seconds() < kept_s <= ADMITTED_LIFETIME.total_seconds()


def test_the_last_snapshot_of_a_host_stays_for_a_month(board: Board, server: Server) -> None:
    board.put_snapshot(Role.HARVESTER, HarvesterSnapshot(host="h1", at=datetime.now(UTC), drives=()))
    with redis.Redis.from_url(server.url) as client:
        assert client.ttl(Keys.snapshot(Role.HARVESTER, "h1")) > LAST_WORD_TTL.total_seconds() - 60


def test_the_acl_file_of_an_older_release_lets_records_of_moves_be_deleted(
    board: Board, server: Server
) -> None:
    board.put_move("p1", move("/d/p.plot"))
    with redis.Redis.from_url(server.url) as client:
        account = client.acl_whoami()
        client.acl_setuser(account, enabled=True, reset_keys=True, keys=[Keys.moves("*")])
    try:
        board.drop_move("p1", "/d/p.plot")
    finally:
        with redis.Redis.from_url(server.url) as client:
            client.acl_setuser(account, enabled=True, keys=["*"])
    assert not board.moves(["p1"])


@pytest.mark.parametrize("older", [False, True], ids=["now", "acl of an older release"])
def test_only_entries_that_are_larger_than_any_event_are_deleted(
    board: Board, server: Server, older: bool
) -> None:
    largest = "x" * (4 * (1 << 15) - len("event"))
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        account = client.acl_whoami()
        for number in range(30):
            board.tell(event(number))
        client.xadd(Keys.EVENTS, {"event": largest})
        assert board.heal_events(thorough=True) == ""
        client.xadd(Keys.EVENTS, {"event": largest + "x"})
        for number in range(30):
            board.tell(event(number))
        assert board.heal_events(thorough=False) == ""
        if older:
            client.acl_setuser(account, enabled=True, commands=["+@all", "-xinfo|stream", "-xdel"])
        try:
            assert board.heal_events(thorough=True).startswith("1 entries")
        finally:
            client.acl_setuser(account, enabled=True, commands=["+@all"])
        assert client.xlen(Keys.EVENTS) == (0 if older else 61)


def test_waits_of_a_host_that_are_too_large_are_cut_and_the_others_are_shown(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.store.board._WAITS_MOST_BYTES", 20_000)
    large = tuple(Wait(host="p1", rule="paused", reason="\U0001f600" * 1000) for _ in range(100))
    waits = Waits(beat="b", at=NOW, waits=(*large, Wait(host="p2", rule="stagger", reason="stagger 1s/6s")))
    assert board.put_waits(waits) == 2
    shown = board.waits()
    assert shown is not None
    own = [wait for wait in shown.waits if wait.host == "p1"]
    assert own[:-1] == list(large[: len(own) - 1])
    assert own[:-1]
    assert own[-1].reason == f"{100 - len(own) + 1} more waits are too large to be shown"
    assert [wait.reason for wait in shown.waits if wait.host == "p2"] == ["stagger 1s/6s"]
