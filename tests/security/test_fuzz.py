"""Values by chance in every place of Redis that plotman reads: each becomes a model or is left out, with one
known error at most, and the data of other hosts are read beside it.

The lists of what is read are compared with the code: a new key or method that reads fails here until
the fuzzer has it. The time is FUZZ_SECONDS (25).
"""

from __future__ import annotations

import copy
import importlib
import inspect
import json
import os
import pkgutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import redis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import common.model
import common.store
import common.worker
from beat.policy.decide import decide
from beat.policy.starts.farm_rules import FarmLimits
from common.errors import OrderRefused, PlotmanError, TicketRefused
from common.model import messages, pending, snapshot
from common.model.figures import Notice
from common.model.messages import Message
from common.model.pending import MoveStep, PendingMove, PendingOrder
from common.model.plot_class import ClassSum, InventorySums, PoolKind
from common.model.snapshot import (
    ArchiverSnapshot,
    DirState,
    Drive,
    Event,
    FinishedPlot,
    HarvesterSnapshot,
    Hold,
    PlotState,
    PlotterSnapshot,
    TargetReport,
    TargetSpace,
    Transfer,
    Wait,
    Waits,
)
from common.model.ticket import Ticket
from common.names import Keys, Role, node
from common.store import Board
from common.store.board_reader import ABOUT, BoardReader
from common.store.decode import Unreadable, read
from common.store.event_stream import EventStream
from common.store.incremental_reader import IncrementalReader
from common.store.notifications import NotificationClaims
from common.store.quick_reader import QuickReader
from plotman.cli.watch import status_text
from plotman.control.farm import read_farm
from tests.support import showcase
from tests.support.secured import Secured

SECONDS = float(os.environ.get("FUZZ_SECONDS", "25"))
GOOD, EVIL = "p10", "p1"
PLOT_ID = "ab" * 32
JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 5, 1 << 62, -(1 << 62), 1 << 63, 10**400, 0.5, 1e308, -1e308),
    *(float("nan"), float("inf"), float("-inf"), "", "x", "5", "\x00", "\x1b[2J\r\n", "\u202e", "=1+1"),
    *("x" * 100_000, "plotter@" + "x" * 300, "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59"),
    *("2026-11-29", "ready", [], {}, [None], [[]], {"": ""}, [1] * 5000, {"jobs": []}),
)
BYTES = (
    *(
        b"",
        b"\xff\xfe\x00",
        b"{",
        b"[" * 50_000,
        b'{"a":' * 50_000,
        b"null",
        b"NaN",
        b"5",
        b'"x"',
        b"[]",
        b"{}",
    ),
    *(b'"\\ud800"', b'{"host":"\\ud800"}', b"\x00", b"1" * 100_000, b'{"at":1e999}', b"-", b"9" * 5000),
)


def good_values() -> dict[str, Any]:
    """One valid value of each model, with something in each list, as JSON."""
    now = datetime.now(UTC)
    tmp = showcase.tmp_dir("/mnt/tmp/0")
    plot = FinishedPlot(
        path="/d/a.plot", size_bytes=5, state=PlotState.READY, since=now, plot_id=PLOT_ID, k=32
    )
    hold = Hold(reason="r", by="b", since=now, until=now + timedelta(hours=1))
    plotter = showcase.plotter(EVIL, tmp, jobs=(showcase.job(1, "/mnt/tmp/0"),), at=now)
    transfer = Transfer(
        path="/d/a.plot", plot_id=PLOT_ID, size_bytes=5, harvester="h1", drive="/f", started_at=now
    )
    target = TargetReport(
        name="nas",
        place="nas:/x",
        spaces=(TargetSpace(path="/x", free_bytes=1),),
        asked_at=now,
        elsewhere="e",
    )
    models: dict[str, Notice] = {
        Role.PLOTTER: plotter.model_copy(update={"plots": (plot,), "paused": hold, "archiving": True}),
        Role.ARCHIVER: ArchiverSnapshot(
            host=EVIL, at=now, transfers=(transfer,), target=target, routed=("h1",)
        ),
        Role.HARVESTER: HarvesterSnapshot(
            host=EVIL,
            at=now,
            drives=(Drive(path="/f", state=DirState.OK, free_bytes=1, total_bytes=2),),
            inventory=InventorySums(
                classes=(ClassSum(format="v1.0", k=32, pool=PoolKind.KEY, pool_key="ab" * 48, plots=1),),
                others=ClassSum(format="others", plots=1, files=1, bytes=1),
                duplicates=1,
            ),
        ),
        "order": PendingOrder(
            task_id="t",
            start_token="a:1",
            tmp="/t",
            dst="/d",
            sent_at=now,
            expires_at=now + timedelta(seconds=30),
        ),
        "move": PendingMove(
            path="/d/a.plot",
            harvester="h1",
            size_bytes=5,
            step=MoveStep.ADMIT,
            expires_at=now + timedelta(seconds=30),
            delivery={"reservation": {"host": "h1"}},
        ),
        "event": Event(kind="plot-done", host=EVIL, at=now, text="x", plot_id=PLOT_ID, size_bytes=5),
        "waits": Waits(beat="boss:1:a", at=now, problems=("p",)),
    }
    found = {str(name): json.loads(model.model_dump_json()) for name, model in models.items()}
    wait = Wait(host=EVIL, rule="stagger", reason="r", subject="/t", numbers={"a": 1.0}, until=now)
    found["wait"] = [json.loads(wait.model_dump_json())]
    found["ticket"] = {
        "plot_id": PLOT_ID, "address": "h1", "port": 5000, "module": "ab" * 8, "password": "a" * 43,
        "certificate": None, "failure": None,
    }  # fmt: skip
    return found


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value in a JSON tree."""
    if path:
        yield path
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from places(value, (*path, key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from places(value, (*path, index))


@st.composite
def changed(draw: st.DrawFn, name: str) -> bytes:
    """A valid value of which one to three parts are replaced, doubled or left out; or bytes of any kind."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.one_of(st.sampled_from(BYTES), st.binary(max_size=200)))
    tree = copy.deepcopy(good_values()[name])
    for _ in range(draw(st.integers(1, 3))):
        ways = list(places(tree))
        if not ways:
            break
        *parents, last = draw(st.sampled_from(ways))
        parent = tree
        for step in parents:
            parent = parent[step]
        how = draw(st.integers(0, 9))
        if how == 0 and isinstance(parent, dict):
            del parent[last]
        elif how == 1 and isinstance(parent, list):
            parent.extend([parent[last]] * draw(st.sampled_from([1, 300])))
        else:
            parent[last] = copy.deepcopy(draw(st.one_of(st.sampled_from(JUNK), st.text(max_size=20))))
    text = json.dumps(tree, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    return text.replace(b'"x"', b'"\xff"') if draw(st.integers(0, 9)) == 0 else text


Put = Callable[[redis.Redis, bytes, bytes], object]
ODD = st.one_of(
    st.binary(max_size=40), st.sampled_from([b"plotter@p2", b"x@y", b"plot-done p1", b"\xff", b"1"])
)
# Key -> the model of its values, and how one is written; the third argument is a name by chance.
ATTACKS: dict[str, list[tuple[str, Put]]] = {
    "snapshot": [
        (str(role), lambda client, text, _, role=role: client.set(Keys.snapshot(role, EVIL), text))
        for role in Role
    ],
    "alive": [("event", lambda client, text, _: client.set(Keys.alive(Role.PLOTTER, EVIL), text))],
    "orders": [("order", lambda client, text, name: client.hset(Keys.orders(EVIL), name, text))],
    "moves": [("move", lambda client, text, name: client.hset(Keys.moves(EVIL), name, text))],
    "ordered": [("event", lambda client, text, _: client.hset(Keys.ordered(EVIL), "/d/a.plot", text))],
    "admitted": [("event", lambda client, text, _: client.set(Keys.admitted("h1", EVIL, "m"), text))],
    "ticket": [("ticket", lambda client, text, _: client.set(Keys.ticket("h1", EVIL, PLOT_ID), text))],
    "HOSTS": [("event", lambda client, text, name: client.hset(Keys.HOSTS, name, text))],
    "EVENTS": [
        ("event", lambda client, text, _: client.xadd(Keys.EVENTS, {"event": text}, maxlen=20)),
        ("event", lambda client, text, name: client.xadd(Keys.EVENTS, {name: text}, maxlen=20)),
    ],
    "COUNTS": [
        ("event", lambda client, text, name: client.hset(Keys.COUNTS, name, text)),
        ("event", lambda client, text, _: client.hset(Keys.COUNTS, f"plot-done {EVIL}", text)),
        ("event", lambda client, text, _: client.hset(Keys.COUNTS, f"bytes plot-done {EVIL}", text)),
    ],
    "LEASE": [("event", lambda client, text, _: client.set(Keys.LEASE, text))],
    "WAITS": [
        ("wait", lambda client, text, _: client.hset(Keys.WAITS, EVIL, text)),
        ("waits", lambda client, text, _: client.hset(Keys.WAITS, ABOUT, text)),
        ("wait", lambda client, text, name: client.hset(Keys.WAITS, name, text)),
    ],
    "ALARMS_HEARD": [("event", lambda client, text, _: client.set(Keys.ALARMS_HEARD, text))],
    "ALARMS_RAISED": [("event", lambda client, text, name: client.hset(Keys.ALARMS_RAISED, name, text))],
    "told": [("event", lambda client, text, _: client.set(Keys.told("x"), text))],
}

READS: dict[type, dict[str, Callable[[Any], object]]] = {
    BoardReader: {
        "hosts": lambda board: board.hosts(),
        "snapshots": lambda board: [board.snapshots(role) for role in Role],
        "last_words": lambda board: [board.last_words(role) for role in Role],
        "moves": lambda board: board.moves([EVIL, GOOD]),
        "leader": lambda board: board.leader(),
        "waits": lambda board: board.waits(),
        "measure_clock": lambda board: board.measure_clock(),
        "trouble": lambda board: board.trouble(),
    },
    EventStream: {
        "last_event_id": lambda board: board.last_event_id(),
        "heal_events": lambda board: board.heal_events(thorough=True),
        "events": lambda board: board.events("0"),
        "newest_events": lambda board: board.newest_events(50),
    },
    Board: {
        "orders": lambda board: board.orders([EVIL, GOOD]),
        "is_ordered": lambda board: board.is_ordered(EVIL, "/d/a.plot", "m", "h1"),
        "is_admitted": lambda board: board.is_admitted("h1", EVIL, "m", "/d/a.plot", "0f"),
        "sign_of_life": lambda board: board.sign_of_life(Role.PLOTTER, EVIL),
        "ticket": lambda board: board.ticket("h1", EVIL, PLOT_ID),
        "counts": lambda board: board.counts(),
        "heal_shared": lambda board: board.heal_shared(),
        "heal_host": lambda board: board.heal_host(EVIL),
        "queue_lengths": lambda board: board.queue_lengths(["plotter.p1"]),
    },
    NotificationClaims: {
        "heard": lambda claims: claims.heard(),
        "raised": lambda claims: claims.raised(),
        "claim": lambda claims: claims.claim("x", "me"),
        "raise_": lambda claims: claims.raise_("what", "id"),
    },
    IncrementalReader: {"read": lambda reader: reader.read()},
}
WRITES = {
    *("connect", "ping", "close", "lease", "alarms", "reader", "put_snapshot", "forget_host", "withdraw"),
    "put_order",
    "put_ordered",
    "put_admitted",
    *("drop_orders", "put_move", "drop_move", "put_ticket", "drop_ticket", "put_waits", "tell", "put_heard"),
    "settle",
    "may_order",
}


def test_the_fuzzer_knows_each_key_and_each_method_that_reads() -> None:
    keys = {name for name in vars(Keys) if not name.startswith("_")}
    assert keys == ATTACKS.keys()
    for kind, reads in READS.items():
        own = {name for name, value in vars(kind).items() if name[0] != "_" and inspect.isroutine(value)}
        own |= {name for name, value in vars(kind).items() if isinstance(value, classmethod)}
        assert own - WRITES == reads.keys(), kind


def every_model() -> set[type[BaseModel]]:
    """The models of notices and messages in the code, the outermost and those within."""
    for package in (common.model, common.store, common.worker):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)

    def below(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
        for each in kind.__subclasses__():
            if each.__module__.startswith("common."):
                yield each
            yield from below(each)

    return {*below(Notice), *below(Message), Ticket}


def judged(kind: type[BaseModel], text: bytes) -> bool:
    """Whether a value is taken as this model; False if it is refused with the one known error."""
    shown = text.decode(errors="replace")
    try:
        if issubclass(kind, Notice):
            read(kind, shown)
        elif issubclass(kind, Ticket):
            Ticket.read(shown, PLOT_ID)
        elif issubclass(kind, Message):
            value = json.loads(shown)
            kind.of(value)
    except (Unreadable, TicketRefused, OrderRefused):
        return False
    except (RecursionError, ValueError) as error:
        assert not isinstance(error, Unreadable)
        assert issubclass(kind, Message)  # Celery has parsed a task's message before
        return False
    return True


def by_chance(test: Callable[[st.DataObject], None], seconds: float) -> None:
    """Run a test on data by chance, again and again until the time is over."""
    run = settings(
        max_examples=20,
        deadline=None,
        derandomize=False,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )(given(st.data())(test))
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        run()


def test_each_model_takes_a_value_or_refuses_it_with_the_one_known_error() -> None:
    tried: Counter[bool] = Counter()
    kinds = sorted(every_model(), key=lambda kind: kind.__name__)
    assert {snapshot.PlotterSnapshot, pending.PendingMove, messages.Delivery, Ticket} <= set(kinds)
    names = sorted(good_values())

    def one(data: st.DataObject) -> None:
        text = data.draw(changed(data.draw(st.sampled_from(names))))
        for kind in kinds:
            tried[judged(kind, text)] += 1

    by_chance(one, SECONDS / 3)
    count = f"{tried.total()} values tried, {tried[False]} refused, {tried[True]} taken"
    print(f"{len(kinds)} models: {count}, all held")


def _admin_url(server: Secured) -> str:
    return f"redis://admin:adminpw@127.0.0.1:{server.port}/0"


@pytest.fixture
def server(plain_server: Secured) -> Iterator[redis.Redis]:
    with plain_server.admin() as admin:
        admin.flushall()
    with redis.Redis.from_url(_admin_url(plain_server)) as raw:
        yield raw
        raw.flushall()


def _free(host: str) -> PlotterSnapshot:
    made = showcase.plotter(host, showcase.tmp_dir("/mnt/tmp/0"), jobs=(), at=datetime.now(UTC))
    return made.model_copy(update={"global_stagger_s": 0.0, "last_start_at": None, "plotting": True})


def test_what_one_place_holds_by_chance_hides_no_other_host(
    server: redis.Redis, plain_server: Secured
) -> None:
    url = _admin_url(plain_server)
    board, quick = Board.connect(url), QuickReader(url)
    reader, claims = board.reader(), board.alarms()
    objects = {
        BoardReader: board,
        EventStream: board,
        Board: board,
        NotificationClaims: claims,
        IncrementalReader: reader,
    }
    board.put_snapshot(Role.PLOTTER, _free(GOOD))
    board.put_move(GOOD, PendingMove.model_validate(good_values()["move"] | {"harvester": "h9"}))
    tried: Counter[str] = Counter()

    def one(data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(sorted(ATTACKS)))
        name, put = data.draw(st.sampled_from(ATTACKS[place]))
        text, odd = data.draw(changed(name)), data.draw(ODD)
        server.hset(Keys.HOSTS, mapping={node(role, EVIL): "x" for role in Role})
        put(server, text, odd)
        for role in Role:
            if place != "alive":
                server.set(Keys.alive(role, EVIL), uuid4().hex, ex=45)
        for kind, reads in READS.items():
            for method, call in reads.items():
                try:
                    call(objects[kind])
                except PlotmanError as error:
                    tried[f"{type(error).__name__} of {method}"] += 1
                    assert method in KNOWN, f"{method} after {place}: {error}"
        assert GOOD in board.snapshots(Role.PLOTTER)
        assert [move.harvester for move in board.moves([EVIL, GOOD])[GOOD]] == ["h9"]
        for limits in (FarmLimits(), FarmLimits(max_jobs=50, stagger_s=0)):
            decision = decide(reader.read(), datetime.now(UTC), limits)
            assert GOOD in {start.host for start in decision.starts}
        assert GOOD in status_text(read_farm(quick), None, classic=True)
        tried["attacks"] += 1
        keep = {Keys.snapshot(Role.PLOTTER, GOOD), Keys.alive(Role.PLOTTER, GOOD), Keys.moves(GOOD)}
        if tried["attacks"] % 20 == 0:
            server.delete(*({key.decode() for key in server.scan_iter()} - keep - {Keys.HOSTS}))
            board.put_snapshot(Role.PLOTTER, _free(GOOD))

    by_chance(one, SECONDS * 2 / 3)
    print(f"Redis: {dict(tried)}, all held")


# A ticket is read by the plotter that it is for, and by no other.
KNOWN = {"ticket"}
