"""What one worker's user can write into Redis costs its own host only; the others are decided on and shown.

Each attack has the password of p1, a plotter, and nothing else. The victims are p10, a plotter, and everybody
who reads the board. Beat is the real one, with the scheduler's password.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis

from beat.policy.starts.farm_rules import NO_LIMITS
from common.config.watch import load_to_run
from common.errors import BrokerError
from common.model.snapshot import Event, PlotterSnapshot
from common.names import PAUSE, SHARED_EXCHANGES, Keys, Role, bindings, node, queue
from common.store import Board
from common.store.quick_reader import QuickReader
from plotman import call
from plotman.app import make_app
from plotman.cli.watch import status_text
from plotman.control.farm import read_farm
from plotman.control.queries.explain import explain
from plotman.control.queries.why import about, picture
from tests.support import showcase
from tests.support.secured import Machines, Secured
from tests.support.waiting import eventually

_SLOW_MACHINE_S = 4.0  # a second where nothing else runs


@dataclass
class Attacked:
    """A farm with a beat that decides, and a plotter p10 that is not attacked."""

    machines: Machines
    log: Path
    raw: redis.Redis  # with p1's password, bytes in and out

    def board(self, user: str) -> Board:
        return Board.connect(self.machines.secured.url(user))

    def decided_s(self) -> float:
        """Seconds until beat has ordered a plot on p10, which has just become free for one."""
        board, scheduler, token = self.board("p10"), self.board("boss"), uuid4().hex[:8]
        free = _plotter("p10").model_copy(update={"start_token": f"{token}:1"})
        began = time.monotonic()
        board.put_snapshot(Role.PLOTTER, free)
        with suppress(BrokerError):  # while the stream is broken
            board.tell(Event(kind="plot-done", host="p10", at=datetime.now(UTC), text="done", task_id=token))
        eventually(
            lambda: any(
                order.start_token.startswith(token) for order in scheduler.orders(["p10"]).get("p10", [])
            ),
            f"beat orders a plot on p10; it says:\n{self.log.read_text()[-2000:]}",
        )
        return time.monotonic() - began

    def status(self) -> str:
        """What `plotman status` prints."""
        return status_text(read_farm(QuickReader(self.machines.secured.url("eye"))), None, classic=True)

    def why(self, host: str) -> str:
        """What `plotman why HOST` knows, by the waits of beat."""
        seen = picture(self.board("eye"), NO_LIMITS)
        assert seen.leader is not None
        return "\n".join(answer.text for answer in about(explain(seen), host))

    def waits(self) -> str:
        found = self.board("eye").waits()
        return "" if found is None else "\n".join(f"{wait.host} {wait.reason}" for wait in found.waits)


def _plotter(host: str) -> PlotterSnapshot:
    """A plotter that may start a plot."""
    made = showcase.plotter(host, showcase.tmp_dir("/mnt/tmp/0"), jobs=(), at=datetime.now(UTC))
    return made.model_copy(update={"global_stagger_s": 0.0, "last_start_at": None, "plotting": True})


@pytest.fixture(scope="module")
def one_beat(plain_server: Secured, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    """A farm whose beat lives through all attacks."""
    with plain_server.admin() as admin:
        admin.flushall()
        admin.config_set("proto-max-bulk-len", "512mb")  # as the redis.conf of an older release allows
    machines = Machines(tmp_path_factory.mktemp("machines"), plain_server)
    machines.configure("boss")
    log = machines.begin("boss", "celery", "-A", "plotman", "beat")
    with redis.Redis.from_url(plain_server.url("p1")) as raw:
        eventually(lambda: "decides" in log.read_text(), "beat decides")
        yield Attacked(machines, log, raw)
    machines.stop()


@pytest.fixture
def farm(one_beat: Attacked) -> Iterator[Attacked]:
    """The farm after the attacks before; p1 is as it should be again, which repairs nothing but itself."""
    with one_beat.machines.secured.admin() as admin:
        for key in (Keys.orders("p1"), Keys.moves("p1"), *(queue(role, "p1") for role in Role)):
            admin.delete(key)
    for host in ("p1", "p10"):
        one_beat.board(host).put_snapshot(Role.PLOTTER, _plotter(host))
    one_beat.decided_s()
    said = len(one_beat.log.read_text())
    yield one_beat
    assert one_beat.machines.processes[0].poll() is None, "beat lives"
    log = one_beat.log.read_text()[said:]
    assert "Traceback" not in log, log


def _own_snapshot(changed: Callable[[bytes], bytes]) -> Callable[[redis.Redis], None]:
    def attack(client: redis.Redis) -> None:
        text = changed(_plotter("p1").model_dump_json().encode())
        client.set(Keys.snapshot(Role.PLOTTER, "p1"), text)
        client.set(Keys.alive(Role.PLOTTER, "p1"), uuid4().hex, ex=45)

    return attack


def _job(field: str) -> Callable[[bytes], bytes]:
    """The snapshot with one job, of which a field is replaced."""
    job = showcase.job(1, "/mnt/tmp/0").model_dump_json().encode()
    name = field.partition(":")[0]
    start = job.index(name.encode())
    end = min(job.find(end, start) for end in (b",", b"}") if job.find(end, start) > 0)
    wrong = job[:start] + field.encode() + job[end:]
    return lambda text: text.replace(b'"jobs":[]', b'"jobs":[' + wrong + b"]")


def _wrong_type(key: str) -> Callable[[redis.Redis], None]:
    def attack(client: redis.Redis) -> None:
        client.delete(key)
        client.sadd(key, "x")
        client.set(Keys.alive(Role.PLOTTER, "p1"), uuid4().hex, ex=45)

    return attack


def _many(client: redis.Redis) -> None:
    with client.pipeline(transaction=False) as pipe:
        for number in range(11_000):
            pipe.hset(Keys.moves("p1"), str(number), "x")
        pipe.execute()


# name -> attack, and the key that operators are shown.
SPOILS_ITSELF: dict[str, tuple[Callable[[redis.Redis], None], str]] = {
    "no UTF-8": (_own_snapshot(lambda _: b"\xff\xfe\x00"), "plotman:host:p1:plotter"),
    "no JSON": (_own_snapshot(lambda text: text[:-9]), "plotman:host:p1:plotter"),
    "nested": (_own_snapshot(lambda _: b"[" * 100_000), "plotman:host:p1:plotter"),
    "9 MB": (_own_snapshot(lambda text: text[:-1] + b"," * 9_000_000), "plotman:host:p1:plotter"),
    "another host": (_own_snapshot(lambda text: text.replace(b'"p1"', b'"p10"')), "plotman:host:p1:plotter"),
    "NaN": (_own_snapshot(_job('"user_s":NaN')), "plotman:host:p1:plotter"),
    "Infinity": (_own_snapshot(_job('"user_s":Infinity')), "plotman:host:p1:plotter"),
    "1e999": (_own_snapshot(_job('"user_s":1e999')), "plotman:host:p1:plotter"),
    "1e300": (_own_snapshot(_job('"user_s":1e300')), "plotman:host:p1:plotter"),
    "huge number": (_own_snapshot(_job('"pid":1' + "0" * 400)), "plotman:host:p1:plotter"),
    "year 9999": (_own_snapshot(_job('"started_at":"9999-12-31T23:59:59Z"')), "plotman:host:p1:plotter"),
    "year 1": (_own_snapshot(_job('"started_at":"0001-01-01T00:00:00Z"')), "plotman:host:p1:plotter"),
    "snapshot of another type": (_wrong_type("plotman:host:p1:plotter"), "plotman:host:p1:plotter"),
    "orders of another type": (_wrong_type("plotman:host:p1:orders"), "plotman:host:p1:orders"),
    "moves of another type": (_wrong_type("plotman:host:p1:moves"), "plotman:host:p1:moves"),
    "moves without number": (_many, "plotman:host:p1:moves"),
    "orders that are no JSON": (
        lambda client: client.hset(Keys.orders("p1"), b"\xff", b"\xff"),
        "plotman:host:p1:orders",
    ),
    "moves that are no JSON": (
        lambda client: client.hset(Keys.moves("p1"), b"\xff", b"\xff{"),
        "plotman:host:p1:moves",
    ),
}


# Only the ACL file of an older release lets a plotter write these.
NOT_ITS_OWN = ("orders of another type", "moves of another type", "orders that are no JSON")


@pytest.mark.parametrize("name", SPOILS_ITSELF)
def test_a_host_that_spoils_its_own_keys_is_left_out_and_named(farm: Attacked, name: str) -> None:
    attack, key = SPOILS_ITSELF[name]
    if name in NOT_ITS_OWN:
        with pytest.raises(redis.exceptions.NoPermissionError):
            attack(farm.raw)
        with farm.machines.secured.admin() as admin:
            attack(admin)
    else:
        attack(farm.raw)
    assert farm.decided_s() < _SLOW_MACHINE_S
    assert farm.decided_s() < _SLOW_MACHINE_S
    eventually(lambda: key in farm.waits(), "beat tells why, and names the key")
    assert key in farm.why("p1")
    assert f"p1: {key}" in farm.status() or key in farm.waits()  # beat has deleted it
    assert "p10" in farm.status()


def test_the_log_of_beat_names_host_and_key_and_is_not_flooded(farm: Attacked) -> None:
    before = len(farm.log.read_text().splitlines())
    for _ in range(20):
        _own_snapshot(lambda _: b"\xff")(farm.raw)
        farm.decided_s()
        farm.board("p1").put_snapshot(Role.PLOTTER, _plotter("p1"))
        farm.decided_s()
    lines = farm.log.read_text().splitlines()
    assert any("p1: plotman:host:p1:plotter cannot be read" in line for line in lines)
    assert len([line for line in lines[before:] if "cannot be read" in line]) <= 2


SPOILS_WHAT_ALL_SHARE: dict[str, Callable[[redis.Redis], object]] = {
    "a host that is no text": lambda client: client.hset(Keys.HOSTS, b"plotter@\xff\xfe", b"\xff"),
    "a host that is no name": lambda client: client.hset(Keys.HOSTS, "plotter@a\r\nb *", "now"),
    "an invented host": lambda client: client.hset(Keys.HOSTS, "plotter@p2", "now"),
    "a time that is no text": lambda client: client.hset(Keys.HOSTS, "plotter@p10", b"\xff"),
    "a counter that is no text": lambda client: client.hincrby(Keys.COUNTS, b"\xff \xfe", 1),
    "a counter at its end": lambda client: client.hincrby(Keys.COUNTS, "plot-done p10", 1 << 62),
    "an event that is no text": lambda client: client.xadd(Keys.EVENTS, {b"event": b"\xff\xfe"}),
    "an event without fields of ours": lambda client: client.xadd(Keys.EVENTS, {b"\xff": b"\xff"}),
    "an event of no host": lambda client: client.xadd(
        Keys.EVENTS,
        {"event": Event(kind="x", host="\x1b[2J", at=datetime.now(UTC), text="x").model_dump_json()},
    ),
    "the last id of the stream": lambda client: client.xadd(
        Keys.EVENTS, {"event": "x"}, id="18446744073709551615-18446744073709551615"
    ),
    "the last id, and nothing kept": lambda client: client.execute_command(
        "XADD", Keys.EVENTS, "MAXLEN", "0", "18446744073709551615-18446744073709551615", "event", "x"
    ),
    "an id of the next century": lambda client: client.xadd(
        Keys.EVENTS, {"event": "x"}, id=f"{int(time.time() * 1000) + 10**13}-1"
    ),
    "nothing kept of the stream": lambda client: client.execute_command(
        "XADD", Keys.EVENTS, "MAXLEN", "0", "*", "event", "x"
    ),
    "a key of Celery's tables": lambda client: client.srem("_kombu.binding.celery.pidbox", "x"),
}


@pytest.mark.parametrize("name", SPOILS_WHAT_ALL_SHARE)
def test_what_all_share_is_read_by_all_others_and_heals(farm: Attacked, name: str) -> None:
    SPOILS_WHAT_ALL_SHARE[name](farm.raw)
    assert farm.decided_s() < _SLOW_MACHINE_S
    eventually(lambda: _tells(farm), "events are written again", 5)
    assert farm.decided_s() < _SLOW_MACHINE_S
    assert "p10" in farm.status()
    viewer = farm.board("eye")
    viewer.counts()
    assert [event.host for _, event in viewer.newest_events(3)][-1] == "p10"
    assert viewer.events(viewer.last_event_id()) == []
    eventually(lambda: viewer.hosts()[Role.PLOTTER] == ["p1", "p10"], "the list has hosts only")


def _tells(farm: Attacked) -> bool:
    try:
        farm.board("p10").tell(Event(kind="plot-phase", host="p10", at=datetime.now(UTC), text="1:1"))
    except BrokerError:
        return False
    return True


def test_a_queue_of_another_type_keeps_no_order_from_others_and_heals(farm: Attacked) -> None:
    name = queue(Role.PLOTTER, "p1")
    farm.raw.delete(name)
    farm.raw.set(name, "x")
    tokens = (f"{uuid4().hex}:1" for _ in range(100))

    def is_ordered() -> bool:
        farm.board("p1").put_snapshot(
            Role.PLOTTER, _plotter("p1").model_copy(update={"start_token": next(tokens)})
        )
        assert farm.decided_s() < _SLOW_MACHINE_S
        return farm.board("boss").queue_lengths([name]).get(name, 0) > 0

    eventually(is_ordered, "p1 gets orders again")


def test_a_change_of_a_host_is_not_hidden_by_another_that_writes_the_list(farm: Attacked) -> None:
    name = node(Role.PLOTTER, "p10")
    with farm.machines.secured.client("boss") as boss:
        before: Any = boss.hget(Keys.HOSTS, name)
    board, token = farm.board("p10"), "hidden:1"
    board.put_snapshot(Role.PLOTTER, _plotter("p10").model_copy(update={"start_token": token}))
    farm.raw.hset(Keys.HOSTS, name, before)
    eventually(
        lambda: token in [order.start_token for order in farm.board("boss").orders(["p10"]).get("p10", [])],
        "it is decided on",
        10,
    )


TOO_LONG = "x" * 200_000_000


def _too_long(key: str, hash_: bool) -> Callable[[redis.Redis], None]:
    def attack(client: redis.Redis) -> None:
        client.hset(key, "x", TOO_LONG) if hash_ else client.set(key, TOO_LONG)
        client.set(Keys.alive(Role.PLOTTER, "p1"), uuid4().hex, ex=45)

    return attack


@pytest.mark.parametrize(
    "key", [Keys.snapshot(Role.PLOTTER, "p1"), Keys.moves("p1"), Keys.orders("p1")], ids=str
)
def test_what_is_too_long_to_be_read_again_and_again_is_deleted(farm: Attacked, key: str) -> None:
    with farm.machines.secured.admin() as admin:  # as the ACL file of an older release allows for orders
        _too_long(key, hash_=key != Keys.snapshot(Role.PLOTTER, "p1"))(admin)
        eventually(lambda: key in farm.waits(), "beat tells why, and names the key")
        # Beat may have ordered a plot there since.
        eventually(lambda: (admin.memory_usage(key) or 0) < len(TOO_LONG), "beat has deleted it")
    assert farm.decided_s() < _SLOW_MACHINE_S


def test_many_invented_hosts_keep_redis_from_nobody(farm: Attacked) -> None:
    """Beat would read the keys of all in one script: Redis answered nobody else for as long."""
    names = [f"plotter@x{number}" for number in range(300_000)]
    for start in range(0, len(names), 10_000):
        farm.raw.hset(Keys.HOSTS, mapping=dict.fromkeys(names[start : start + 10_000], "now"))
    farm.board("p10").ping()
    eventually(lambda: farm.board("eye").hosts()[Role.PLOTTER] == ["p1", "p10"], "they are removed", 30)
    assert farm.decided_s() < _SLOW_MACHINE_S
    assert "does not answer" not in farm.log.read_text()


# Two of them are more than Redis sends in an answer: it closes the connection of each who reads both.
HALF_AN_ANSWER = "x" * 68_000_000


def _reads(read: Callable[[], object]) -> bool:
    try:
        read()
    except BrokerError:
        return False
    return True


def test_names_in_the_list_of_hosts_that_are_too_large_to_be_sent_stop_nobody(farm: Attacked) -> None:
    farm.raw.hset(Keys.HOSTS, mapping={f"{number}{HALF_AN_ANSWER}": "x" for number in range(2)})
    assert farm.decided_s() < 2 * _SLOW_MACHINE_S
    eventually(lambda: _reads(farm.board("eye").hosts), "viewers read again", 10)
    assert farm.board("eye").hosts()[Role.PLOTTER] == ["p1", "p10"]
    assert "p10" in farm.status()
    assert f"{Keys.HOSTS} had 2 names" in farm.log.read_text()


def test_signs_of_life_that_are_too_large_to_be_sent_stop_nobody(farm: Attacked) -> None:
    keys = [Keys.alive(role, "p1") for role in (Role.PLOTTER, Role.ARCHIVER)]
    farm.raw.hset(Keys.HOSTS, node(Role.ARCHIVER, "p1"), "now")
    for key in keys:
        farm.raw.set(key, HALF_AN_ANSWER)
    assert farm.decided_s() < 2 * _SLOW_MACHINE_S
    eventually(lambda: any(key in farm.waits() for key in keys), "beat tells why, and names the key")
    eventually(lambda: _reads(lambda: farm.board("eye").snapshots(Role.PLOTTER)), "viewers read again", 10)
    assert "p10" in farm.status()
    farm.board("p1").put_snapshot(Role.PLOTTER, _plotter("p1"))
    assert farm.board("eye").snapshots(Role.PLOTTER).keys() == {"p1", "p10"}


def test_an_event_that_is_too_large_to_be_sent_stops_nobody(farm: Attacked) -> None:
    before = farm.board("boss").last_event_id()
    farm.raw.xadd(Keys.EVENTS, {"event": 2 * HALF_AN_ANSWER})
    assert farm.decided_s() < 2 * _SLOW_MACHINE_S
    viewer = farm.board("eye")
    eventually(lambda: _reads(lambda: viewer.newest_events(200)), "viewers read again", 10)
    told = [event.host for _, event in farm.board("boss").events(before)]
    assert set(told) == {"p10"}, "the notifier hears what came after it"
    assert farm.decided_s() < _SLOW_MACHINE_S
    assert f"{Keys.EVENTS}: 1 entries were larger" in farm.log.read_text()


def test_counters_that_are_too_large_to_be_sent_are_deleted_and_no_others(farm: Attacked) -> None:
    farm.decided_s()  # it counts an event
    for number in range(2):
        farm.raw.hincrby(Keys.COUNTS, f"{number}{HALF_AN_ANSWER}", 1)
    eventually(lambda: _reads(farm.board("eye").counts), "they are read again", 30)
    assert farm.board("eye").counts().events["plot-done", "p10"] > 0
    assert farm.decided_s() < _SLOW_MACHINE_S


TABLES = [table for exchange in SHARED_EXCHANGES for table in bindings(exchange)]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "members", [[b"%d" % number for number in range(10_001)], [b"x" * 5_000_000]], ids=["many", "a large one"]
)
def test_a_table_of_listeners_that_is_too_large_is_deleted_and_no_other(
    farm: Attacked, table: str, members: list[bytes]
) -> None:
    for each in TABLES:
        farm.raw.sadd(each, b"listener")
    farm.raw.sadd(table, *members)
    farm.decided_s()
    board = farm.board("boss")
    board.heal_shared()
    assert {each for each in TABLES if not farm.raw.smembers(each)} <= {table}
    eventually(lambda: farm.raw.smembers(table) == set(), "it is deleted", 15)
    farm.raw.sadd(table, *members[:9_999] if len(members) > 1 else b"x" * 1_000_000)
    board.heal_shared()
    assert farm.raw.smembers(table)
    farm.raw.srem(table, *farm.raw.smembers(table))


def test_a_worker_answers_broadcasts_after_the_tables_of_listeners_were_deleted(
    attacked: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    (drive := attacked.folder / "drive").mkdir()
    receiver = {"receiver_address": "127.0.0.1", "receiver_port": 0, "receiver_tls": False}
    attacked.configure("h1", harvester={"drives": [str(drive)], "plain_folders": True, **receiver})
    monkeypatch.setenv("PLOTMAN_CONFIG", str(attacked.configure("boss")))
    attacked.up("h1")
    app = make_app(load_to_run())  # lives on, as Flower's does

    def answers() -> bool:
        return bool(app.control.ping(["harvester@h1"], timeout=2, limit=1))

    eventually(answers, "it answers", 60)
    board = Board.connect(attacked.secured.url("boss"))
    with attacked.secured.admin() as admin:
        for table in TABLES:
            admin.sadd(table, *range(10_001))
        board.heal_shared()
        assert admin.exists(*TABLES) == 0
        assert [answers() for _ in range(3)] == [True] * 3


def test_a_call_by_a_user_who_may_not_list_the_hosts_is_not_refused_for_that(
    attacked: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLOTMAN_CONFIG", str(attacked.configure("p1")))
    with attacked.secured.admin() as admin:
        admin.execute_command("ACL", "SETUSER", "p1", "resetkeys")  # as in an older file of users
    call._must_be_taken(PAUSE, {"host": "p1"})


@pytest.mark.parametrize("user", ["p1", "h1", "both", "eye"])
@pytest.mark.parametrize(
    "command",
    [
        ("EVAL", "while true do end", "0"),
        ("EVAL_RO", "while true do end", "0"),
        ("EVALSHA", "0" * 40, "0"),
        ("SCRIPT", "LOAD", "return 1"),
        ("FUNCTION", "LOAD", "#!lua name=x\nredis.register_function('f', function() while true do end end)"),
        ("FCALL", "f", "0"),
    ],
    ids=lambda command: command[0],
)
def test_no_worker_runs_a_script(attacked: Machines, user: str, command: tuple[str, ...]) -> None:
    with attacked.secured.client(user) as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command)


@pytest.mark.parametrize("user", ["p1", "h1"])
def test_no_worker_makes_something_else_of_the_table_of_listeners(attacked: Machines, user: str) -> None:
    table = "_kombu.binding.celery.pidbox"
    for command in (
        ("DEL", table),
        ("ZADD", table, "1", "x"),
        ("SET", table, "x"),
        ("HSET", table, "a", "b"),
    ):
        with attacked.secured.client(user) as client, pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*command)
