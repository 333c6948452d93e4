"""What each user of `plotman farm secrets` may do at a real server, and what it may not."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis
import yaml

from common.config.sections.notifications import Notifications
from common.errors import BrokerError
from common.model.snapshot import Event
from common.names import Keys, Role
from common.store import Board
from plotman.metrics.collector import as_text
from plotman.notifications.notifier import Notifier
from plotman.supervisor import broker
from tests.security.conftest import MACHINES
from tests.support import showcase
from tests.support.installed import from_wheel
from tests.support.secured import Secured
from tests.support.waiting import eventually

NOBODY_MAY = (
    "FLUSHALL",
    "FLUSHDB",
    "KEYS *",
    "SCAN 0",
    "RANDOMKEY",
    "CONFIG GET requirepass",
    "CONFIG SET dir /tmp",
    "ACL LIST",
    "ACL SETUSER x on nopass +@all",
    "SHUTDOWN NOSAVE",
    "MONITOR",
    "CLIENT LIST",
    "CLIENT KILL TYPE normal",
    "REPLICAOF 127.0.0.1 1",
    "MIGRATE 127.0.0.1 1 k 0 1",
    "MODULE LIST",
    "SCRIPT FLUSH",
    "SLOWLOG GET",
)


@pytest.mark.parametrize("user", ["p1", "h1", "both", "boss", "eye"])
def test_nobody_may_wipe_watch_or_change_the_server(secured: Secured, user: str) -> None:
    assert _allowed(secured, user, NOBODY_MAY) == []


# Each line names what a stolen password would otherwise be good for.
A_PLOTTER_MAY_NOT = (
    "LPUSH harvester.h1 x",  # order a harvester
    "RPUSH harvester.h1 x",
    "LPUSH plotter.p10 x",  # order another plotter
    "LPUSH archive.p10 x",
    "BRPOP plotter.p10 0.01",  # take its orders
    "LLEN plotter.p10",
    "BRPOP harvester.h1 0.01",
    "LPOP harvester.h1",
    "LRANGE harvester.h1 0 -1",
    "DEL harvester.h1",
    "EXPIRE harvester.h1 1",
    "GET plotman:host:p10:plotter",  # read another's snapshot
    "GET plotman:host:h1:harvester",
    "MGET plotman:host:p1:plotter plotman:host:p10:plotter",
    "SET plotman:host:p10:plotter x",  # speak for another
    "SET plotman:host:h1:harvester x",
    "SET plotman:host:h1:harvester:alive x",
    "HSET plotman:host:p10:moves a b",
    "HVALS plotman:host:p10:orders",
    "HSET plotman:host:p10:ordered a b",  # order a transfer in beat's name
    "SET plotman:host:h1:admitted:p1:m x",  # have a source deleted in a harvester's name
    "GET plotman:host:h1:ticket:p10:00",  # its ticket to a harvester's receiver
    "SET plotman:host:p1:harvester x",  # be a harvester as well
    "SET plotman:host:p1:harvester:alive x",
    "SET plotman:host:p1:admitted:p1:m x",
    "LPUSH harvester.p1 x",
    "BRPOP harvester.p1 0.01",
    "SET plotman:host:h1:ticket:p1:00 x",  # write a ticket to itself, or an order
    "DEL plotman:host:h1:ticket:p1:00",
    "HSET plotman:host:p1:ordered a b",
    "SET plotman:host:both:ticket:p1:00 x",
    "DEL plotman:host:both:ticket:p1:00",
    "HSET plotman:host:p1:orders a b",
    "HDEL plotman:hosts plotter@p10",  # strike another off
    "DEL plotman:hosts",
    "HKEYS plotman:hosts",
    "DEL plotman:events",
    "XTRIM plotman:events MAXLEN 0",
    "SET plotman:beat:lease me",  # decide for the farm
    "HGETALL plotman:beat:waits:hosts",
    "HSET unacked.p10 a b",
    "SADD _kombu.binding.plotter.p10 x",  # have another's orders copied to oneself
    "SADD _kombu.binding.harvester.h1 archive.p1",
    "SREM _kombu.binding.harvester.h1 x",
    "PUBLISH /0.celery.pidbox x",  # shut all workers down
    "BRPOP x.reply.celery.pidbox 0.01",  # read what others are answered
    "PSUBSCRIBE *",
    "PSUBSCRIBE /0.celeryev/*",
)

A_PLOTTER_MAY = (
    "LPUSH plotter.p1 x",
    "BRPOP archive.p1 plotter.p1 0.01",
    "SET plotman:host:p1:plotter x",
    "SET plotman:host:p1:plotter:alive x EX 45 GET",
    "GET plotman:host:p1:archiver:alive",
    "HSET plotman:hosts plotter@p1 now",
    "HDEL plotman:host:p1:orders x",  # the order shows in the snapshot
    "HSET plotman:host:p1:moves a b",
    "EXPIRE plotman:host:p1:moves 60",
    "HVALS plotman:host:p1:moves",
    "HDEL plotman:host:p1:moves a",
    "HGET plotman:host:p1:ordered a",
    "HDEL plotman:host:p1:ordered a",
    "GET plotman:host:h1:ticket:p1:00",
    "GET plotman:host:h1:admitted:p1:m",
    "XADD plotman:events * event x",
    "SUBSCRIBE /0.celery.pidbox",
)


# What a harvester does for the plotters whose plots it takes in.
A_HARVESTER_ORDERS_PLOTTERS = (
    "LLEN plotter.p10",
    "LPUSH plotter.p10 x",
    "LPUSH archive.p10 x",
    "HSET plotman:host:p10:moves a b",
    "SADD _kombu.binding.plotter.p10 x",
    "SET plotman:host:both:ticket:p1:00 x",
    "DEL plotman:host:both:ticket:p1:00",
)


def test_a_plotter_may_not_order_or_read_others(secured: Secured) -> None:
    assert _allowed(secured, "p1", A_PLOTTER_MAY_NOT) == []


def test_a_plotter_that_is_a_harvester_too_may_what_a_harvester_may_and_no_more(secured: Secured) -> None:
    assert set(_allowed(secured, "both", A_PLOTTER_MAY_NOT)) == set(A_HARVESTER_ORDERS_PLOTTERS)


def test_a_plotter_may_do_its_own_work(secured: Secured) -> None:
    assert _allowed(secured, "p1", A_PLOTTER_MAY) == list(A_PLOTTER_MAY)


A_HARVESTER_MAY_NOT = (
    "LPUSH harvester.both x",
    "BRPOP harvester.both 0.01",
    "BRPOP plotter.p1 0.01",
    "LRANGE archive.p1 0 -1",
    "GET plotman:host:p1:plotter",
    "SET plotman:host:p1:plotter x",
    "GET plotman:host:h1:ticket:p1:00",
    "SET plotman:host:both:ticket:p1:00 x",  # in the place of another harvester
    "HVALS plotman:host:p1:orders",
    "HSET plotman:host:p1:ordered a b",
    "SET plotman:host:both:admitted:p1:m x",
    "SETEX plotman:host:both:admitted:p1:m 9 x",
    "SET plotman:host:h1:plotter x",  # be a plotter as well
    "SET plotman:host:h1:plotter:alive x",
    "HSET plotman:host:h1:orders a b",
    "HSET plotman:host:h1:ordered a b",  # order a plot of its own to leave its drive
    "HGET plotman:host:p1:ordered a",
    "SET plotman:host:p1:archiver x",
    "BRPOP plotter.h1 0.01",
    "GET plotman:host:both:admitted:p1:m",
    "GET plotman:host:both:ticket:p1:00",
    "GET plotman:host:both:harvester",
    "SET plotman:beat:lease me",
    "PUBLISH /0.celery.pidbox x",
    "SREM _kombu.binding.plotter.p1 x",
)


A_HARVESTER_MAY = (
    "BRPOP harvester.h1 0.01",
    "SET plotman:host:h1:harvester x",
    "SET plotman:host:h1:harvester:alive x EX 45 GET",
    "HSET plotman:hosts harvester@h1 now",
    "SET plotman:host:h1:admitted:p1:m x EX 60",
    "SET plotman:host:h1:ticket:p1:00 x EX 60",
    "DEL plotman:host:h1:ticket:p1:00",
    "HSET plotman:host:p1:moves a b",
    "EXPIRE plotman:host:p1:moves 60",
    "HVALS plotman:host:p1:moves",
    "HDEL plotman:host:p1:moves a",
    "XADD plotman:events * event x",
    # For a drive of its own that is evacuated.
    "BRPOP archive.h1 0.01",
    "SET plotman:host:h1:archiver x",
    "DEL plotman:host:h1:archiver plotman:host:h1:archiver:alive",
    "HGET plotman:host:h1:ordered a",
    "HDEL plotman:host:h1:ordered a",
    "GET plotman:host:h2:ticket:h1:00",
    "GET plotman:host:both:admitted:h1:m",
)


def test_a_harvester_may_do_its_own_work(secured: Secured) -> None:
    assert _allowed(secured, "h1", A_HARVESTER_MAY) == list(A_HARVESTER_MAY)


def test_a_harvester_may_not_read_others_or_speak_for_them(secured: Secured) -> None:
    assert _allowed(secured, "h1", A_HARVESTER_MAY_NOT) == []


def test_a_machine_with_two_duties_has_the_rights_of_both_and_no_more(secured: Secured) -> None:
    may = (
        "LPUSH plotter.both x",
        "LPUSH harvester.both x",
        "HSET plotman:host:p1:moves a b",
        "SET plotman:host:both:harvester:alive x EX 45 GET",
        "SET plotman:host:both:plotter x",
        "SET plotman:host:both:archiver:alive x",
        "HGET plotman:host:both:ordered a",
        "GET plotman:host:h1:ticket:both:00",
        "SET plotman:host:both:admitted:p1:m x",
        "GET plotman:host:both:admitted:both:m",
    )
    assert _allowed(secured, "both", may) == list(may)
    assert _allowed(secured, "both", ("BRPOP harvester.h1 0.01", "GET plotman:host:h1:harvester")) == []


def test_the_scheduler_orders_all_and_opens_no_receiver(secured: Secured) -> None:
    may = (
        "LPUSH plotter.p1 x",
        "LPUSH archive.p10 x",
        "LPUSH harvester.h1 x",
        "MGET plotman:host:p1:plotter plotman:host:h1:harvester:alive",
        "HDEL plotman:hosts plotter@gone",
        "SET plotman:beat:lease me",
        "HSETNX plotman:alarms:raised x y",  # the notifier runs with these rights
        "PUBLISH /0.celery.pidbox x",
        "PSUBSCRIBE /0.celeryev/*",
        "SCARD _kombu.binding.reply.celery.pidbox",
        "MEMORY USAGE _kombu.binding_permanent.celeryev",
    )
    assert _allowed(secured, "boss", may) == list(may)
    may_not = ("GET plotman:host:h1:ticket:p1:00", "BRPOP plotter.p1 0.01", "MEMORY DOCTOR")
    assert _allowed(secured, "boss", may_not) == []


def test_the_scheduler_strikes_off_a_silent_host_and_nobody_else_does(secured: Secured) -> None:
    with secured.admin() as admin:
        admin.flushall()  # of what the other tests have written there
        snapshot = showcase.plotter("p10", at=datetime.now(UTC))
        Board.connect(secured.url("p10")).put_snapshot(Role.PLOTTER, snapshot)
        admin.delete(Keys.alive(Role.PLOTTER, "p10"))
        for user in ("p1", "h1", "both", "eye"):
            with pytest.raises(BrokerError, match="does not permit"):
                Board.connect(secured.url(user)).forget_host("p10")
        boss = Board.connect(secured.url("boss"))
        assert boss.hosts()[Role.PLOTTER] == ["p10"]
        assert boss.forget_host("p10")
        assert admin.keys() == []


def test_only_a_scheduler_knows_that_it_may_order_plotters(secured: Secured) -> None:
    """Flower offers its buttons to no other."""
    may = {name: Board.connect(secured.url(name)).may_order() for name in ("boss", "p1", "h1", "eye")}
    assert may == {"boss": True, "p1": False, "h1": False, "eye": False}


def test_a_viewer_sees_all_and_touches_nothing(secured: Secured) -> None:
    may = (
        "HKEYS plotman:hosts",
        "MGET plotman:host:p1:plotter plotman:host:h1:harvester",
        "HVALS plotman:host:p1:moves",
        "XREVRANGE plotman:events + - COUNT 5",
        "HGETALL plotman:beat:waits:hosts",
        "LLEN plotter.p1",  # how much waits there, for the metrics
    )
    may_not = (
        "SET plotman:host:p1:plotter x",
        "LPUSH plotter.p1 x",
        "LRANGE plotter.p1 0 -1",
        "HSET plotman:hosts a b",
        "SET plotman:alarms:heard x",
        "XADD plotman:events * a b",
        "GET plotman:host:h1:ticket:p1:00",
        "PUBLISH /0.celery.pidbox x",
        "SUBSCRIBE /0.celery.pidbox",
        "MULTI",  # Redis answers nobody else until the EXEC of a thousand reads is done
        "WATCH plotman:events",
        "CLIENT NO-EVICT ON",
        "EXISTS plotman:hosts",  # with a key named millions of times Redis answers nobody else for seconds
    )
    assert _allowed(secured, "eye", may) == list(may)
    assert _allowed(secured, "eye", may_not) == []


def test_nobody_is_the_user_default(secured: Secured) -> None:
    with secured.stranger() as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    for password in ("", "default"):
        with (
            secured.stranger(username="default", password=password) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()


def test_a_viewer_that_asks_for_much_and_reads_nothing_stops_no_machine(secured: Secured) -> None:
    """Without a limit the answers fill the memory, and every write of every machine fails."""
    with secured.admin() as admin, secured.client("eye") as eye, secured.client("p1") as machine:
        admin.flushall()
        admin.set("plotman:host:p1:plotter", "x" * 1_000_000)
        unread = eye.connection_pool.get_connection()
        unread.send_command("CLIENT", "SETNAME", "greedy")
        unread.send_command("MGET", *["plotman:host:p1:plotter"] * 600)
        machine.set("plotman:host:p1:plotter:alive", "x")
        eventually(
            lambda: "greedy" not in {each["name"] for each in admin.client_list()}, "it is disconnected"
        )
        eventually(lambda: int(admin.info("memory")["used_memory"]) < 100_000_000, "its answers are freed")
        unread.disconnect()
        admin.flushall()


# The largest message that a worker takes; common/worker/transport.py.
LARGEST_BYTES = 16 << 20
# Two of them exceed what Redis sends in one answer: it would close the connection of each reader, for ever.
TOO_LARGE_BYTES = 68_000_000


def _takes_only_what_can_be_read_again(client: redis.Redis) -> None:
    client.set("plotman:host:p1:plotter", "x" * LARGEST_BYTES)
    assert client.strlen("plotman:host:p1:plotter") == LARGEST_BYTES
    with pytest.raises((redis.ConnectionError, redis.TimeoutError)):
        client.set("plotman:host:p1:plotter", "x" * TOO_LARGE_BYTES)
    with pytest.raises((redis.ConnectionError, redis.TimeoutError)):
        client.hset(Keys.HOSTS, "x" * TOO_LARGE_BYTES, "x")
    assert client.strlen("plotman:host:p1:plotter") == LARGEST_BYTES
    assert client.hlen(Keys.HOSTS) == 0


def test_a_text_that_is_too_large_to_be_read_again_is_refused(secured: Secured) -> None:
    with secured.admin() as admin:
        admin.flushall()
        _takes_only_what_can_be_read_again(admin)
        admin.flushall()


def test_a_viewer_is_shown_that_an_answer_is_too_large(secured: Secured) -> None:
    with secured.admin() as admin:
        admin.config_set("proto-max-bulk-len", "512mb")
        try:
            names = {f"{number}{'x' * TOO_LARGE_BYTES}": "x" for number in range(2)}
            admin.hset(Keys.HOSTS, mapping=names)  # type: ignore[arg-type]
            with pytest.raises(BrokerError, match="an answer is larger than it sends"):
                Board.connect(secured.url("eye")).hosts()
        finally:
            admin.config_set("proto-max-bulk-len", "20mb")
            admin.flushall()


def test_the_broker_of_plotman_up_refuses_a_text_that_is_too_large_to_be_read_again(tmp_path: Path) -> None:
    address = broker.settle(tmp_path, lambda _: None)
    process = subprocess.Popen(broker.argv(tmp_path), stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: broker.answers(address.url), "it answers")
        with redis.Redis.from_url(address.url) as client:
            _takes_only_what_can_be_read_again(client)
    finally:
        process.terminate()
        process.wait(10)


def test_many_connections_of_a_viewer_do_not_shut_beat_out(secured: Secured) -> None:
    """Where connections take too much memory, the server ends the largest, which would be beat's."""
    with secured.admin() as admin:
        admin.flushall()
        admin.config_set("maxmemory-clients", "12mb")
        admin.set("plotman:host:p1:plotter", "x" * 900_000)
        greedy = [secured.client("eye").connection_pool.get_connection() for _ in range(40)]
        try:
            for connection in greedy:  # a command that never ends
                connection._sock.sendall(b"*2\r\n$3\r\nGET\r\n$400000\r\n" + b"x" * 300_000)
            board = Board.connect(secured.url("boss"), kept=True)
            for _ in range(10):
                assert len(board._redis.mget(["plotman:host:p1:plotter"] * 8)) == 8
        finally:
            for connection in greedy:
                connection.disconnect()
            admin.config_set("maxmemory-clients", "256mb")
            admin.flushall()


@pytest.mark.parametrize("server", ["valkey", "tls_server"])
def test_transactions_outlive_a_restart_of_redis(
    server: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Redis 7.0 leaves them out of what it reads at its start if the user `default` has no rights."""
    secured = Secured(tmp_path / "secrets", tls=False)
    secured.make(*MACHINES)
    try:
        secured.start(request.getfixturevalue(server))
        with secured.client("p1") as machine, machine.pipeline(transaction=True) as both:
            both.set("plotman:host:p1:plotter", "x").hset("plotman:hosts", "plotter:p1", "1").execute()
        secured.stop()
        secured.start(request.getfixturevalue(server))
        with secured.admin() as admin:
            assert sorted(admin.keys()) == ["plotman:host:p1:plotter", "plotman:hosts"]
    finally:
        secured.stop()


def test_a_viewer_is_told_why_and_that_it_may_not_kill_or_pause(secured: Secured, tmp_path: Path) -> None:
    with secured.admin() as admin:
        admin.flushall()  # of what the other tests have written there
    tmp, job = showcase.tmp_dir("/mnt/tmp/0"), showcase.job(1, "/mnt/tmp/0")
    plotter = showcase.plotter("p10", tmp, jobs=(job,), at=datetime.now(UTC))
    Board.connect(secured.url("p10")).put_snapshot(Role.PLOTTER, plotter)
    settings = tmp_path / "plotman.yaml"
    farm = {**secured.farm_section("eye"), "state": str(tmp_path), "scheduler": False}
    settings.write_text(yaml.safe_dump({"version": [2], "farm": farm}), encoding="utf-8")

    def typed(*words: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PLOTMAN_CONFIG": str(settings)}
        command = from_wheel("plotman", *words)
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    told = typed("why", showcase.plot_id(1)[:8])
    assert (told.returncode, told.stderr) == (0, "")
    assert "phase 2:1, 40 %" in told.stdout
    for words in (("kill", "-f", showcase.plot_id(1)[:8]), ("pause", "plotting", "--host", "p10")):
        refused = typed(*words)
        assert (refused.returncode, refused.stdout) == (4, ""), words
        assert "The user of farm.broker may not send orders to p10." in refused.stderr, words
        assert len(refused.stderr.splitlines()) == 1, refused.stderr
    with secured.admin() as admin:
        assert admin.llen("plotter.p10") == 0


def test_a_viewer_gets_all_metrics_and_a_scheduler_runs_a_notifier(secured: Secured, tmp_path: Path) -> None:
    told = Notifications.model_validate({"targets": {"hook": {"command": ["true"], "events": ["all"]}}})
    notifier = Notifier(Board.connect(secured.url("boss")), told, tmp_path / "alarms.json")
    notifier.turn(listen_s=0)
    happened = Event(kind="plot-done", host="p1", at=datetime.now(UTC), text="done", task_id="t")
    Board.connect(secured.url("p1")).tell(happened)  # a plotter counts what it tells
    notifier.turn(listen_s=0)
    assert "plot-done:p1:t" in (tmp_path / "alarms.json").read_text()
    metrics = as_text(Board.connect(secured.url("eye")))
    assert 'plotman_events_total{host="p1",kind="plot-done"} 1.0' in metrics
    # A plotter may neither look at the others nor claim that a notification was sent.
    assert "plotman_broker_up 0.0" in as_text(Board.connect(secured.url("p1")))
    assert _allowed(secured, "p1", ("SET plotman:alarms:told:x me", "HGETALL plotman:counts")) == []


def test_counters_that_a_plotter_invents_do_not_drown_the_metrics(secured: Secured) -> None:
    """A scrape of 100,000 counters takes longer than Prometheus waits."""
    with secured.admin() as admin:
        admin.flushall()
        board = Board.connect(secured.url("p1"))
        board.put_snapshot(Role.PLOTTER, showcase.plotter("p1", at=datetime.now(UTC)))
        board.tell(Event(kind="plot-done", host="p1", at=datetime.now(UTC), text="done", task_id="t"))
        with secured.client("p1") as client, client.pipeline(transaction=False) as pipe:
            for number in range(21_000):
                pipe.hincrby(Keys.COUNTS, f"plot-done invented{number}", 1)
            pipe.execute()
        metrics = as_text(Board.connect(secured.url("eye")))
        assert 'plotman_plots_made_total{host="p1"} 1.0' in metrics
        assert "invented" not in metrics
        admin.flushall()


def _allowed(secured: Secured, user: str, commands: tuple[str, ...]) -> list[str]:
    """The commands that the user may run; they are run."""
    allowed = []
    for command in commands:
        # A connection each: SUBSCRIBE changes what a connection may do.
        with secured.client(user) as client:
            try:
                connection = client.connection_pool.get_connection()
                connection.send_command(*command.split())
                connection.read_response()
                allowed.append(command)
            except redis.exceptions.NoPermissionError:
                continue
            except redis.ResponseError:
                allowed.append(command)  # of the wrong type, say: it got that far
            finally:
                connection.disconnect()
    return allowed
