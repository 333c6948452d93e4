"""Messages that another machine of the farm puts into a plotter's queue: none ends the worker.

The attacker has the password of a harvester, who may write into plotters' queues.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.names import KILL, RELEASE, TRANSFER
from tests.support.forged import Attacked, body_of, forged
from tests.support.sections import SCHEDULING
from tests.support.secured import Machines, Secured
from tests.support.waiting import eventually

DEEP = "[" * 100_000 + "]" * 100_000
HERE = {"host": "p1", "plot": "none"}
SPY = {"task": KILL, "args": [], "kwargs": HERE, "options": {"task_id": "spy", "queue": "spied"}}
ESCAPE = "\x1b]0;x\x07\n2026-11-28 12:00:00 INFO forged line"

# Entries of the queue, as texts.
ENTRIES: dict[str, str | bytes] = {
    "no JSON": "x",
    "nothing": "",
    "bytes that are no UTF-8": b"\xff\xfe\x00",
    "100,000 nested brackets": DEEP,
    # Python's limit is 1,000 calls: some of these are read, and are too deep for what follows.
    **{f"{depth} nested brackets": "[" * depth + "]" * depth for depth in range(900, 1000)},
    "a number of 10,000 digits": "9" * 10_000,
    "a list": "[]",
    "a text": '"x"',
    "null": "null",
    "NaN": "NaN",
    "half a surrogate pair": '"\\ud800"',
    "a type of kombu's": '{"__type__": "decimal", "__value__": "x"}',
    "an unknown type": '{"__type__": [], "__value__": 1}',
    "17 MB": "[" + " " * 17_000_000 + "]",
}
# Changes of a message that is well otherwise.
ENVELOPES: dict[str, dict[str, Any]] = {
    "no body": {"body": None},
    "a body that is a number": {"body": 5},
    "a body that is no base64": {"body": "\x00%%%"},
    "another body encoding": {"properties__body_encoding": []},
    "content type": {"content_type": []},
    "pickle": {"content_type": "application/x-python-serialize"},
    "yaml": {"content_type": "application/x-yaml"},
    "content encoding": {"content_encoding": []},
    "properties": {"properties": None},
    "delivery tag": {"properties__delivery_tag": {"a": 1}},
    "delivery_info 5": {"properties__delivery_info": 5},
    "delivery_info empty": {"properties__delivery_info": {}},
    "delivery_info of lists": {"properties__delivery_info": {"exchange": [], "routing_key": 1}},
    "correlation id": {"properties__correlation_id": []},
    "reply_to": {"properties__reply_to": {"a": 1}},
    "headers": {"headers": "x"},
    "no headers": {"headers": None},
    "id a list": {"headers__id": []},
    "id an object": {"headers__id": {"a": 1}},
    "id null": {"headers__id": None},
    "id of a terminal": {"headers__id": ESCAPE},
    "id of 1 MB": {"headers__id": "x" * 1_000_000},
    "task a list": {"headers__task": []},
    "task of a terminal": {"headers__task": ESCAPE},
    "parent": {"headers__parent_id": 5},
    "group": {"headers__group": "x"},
    "shadow": {"headers__shadow": "plotter_worker.plot"},
    "shadow a list": {"headers__shadow": []},
    "timelimit x": {"headers__timelimit": "x"},
    "timelimit": {"headers__timelimit": [0.001, 0.001]},
    "timelimit of objects": {"headers__timelimit": [{}, []]},
    "retries x": {"headers__retries": "x"},
    "retries": {"headers__retries": 1 << 70},
    "eta x": {"headers__eta": "x"},
    "eta in a thousand years": {"headers__eta": "3026-01-01T00:00:00+00:00"},
    "eta a number": {"headers__eta": 5},
    "expires x": {"headers__expires": "x"},
    "expires at the end of time": {"headers__expires": "9999-12-31T23:59:59-14:00"},
    "expires NaN": {"headers__expires": float("nan")},
    "argsrepr": {"headers__argsrepr": [1]},
    "kwargsrepr of 1 MB": {"headers__kwargsrepr": "x" * 1_000_000},
    "stamped headers": {"headers__stamped_headers": [{}]},
    "stamps": {"headers__stamped_headers": ["a"], "headers__stamps": {"a": [[]]}},
    "ignore_result": {"headers__ignore_result": "x"},
    "nesting": {"headers__replaced_task_nesting": "x"},
    "clock": {"headers__clock": 10**4000},
    "compression": {"headers__compression": "zlib"},
    "an unknown compression": {"headers__compression": []},
    "chord_unlock": {"headers__task": "celery.chord_unlock"},
    "map": {"headers__task": "celery.map"},
    "no task of ours": {"headers__task": "os.system"},
}
BODIES: dict[str, Any] = {
    "not three": [[], {}],
    "four": [[], {}, {}, {}],
    "a number": 5,
    "args a text": ["abc", {}, {}],
    "kwargs a list": [[], [1], {}],
    "an argument of Celery's own": [[], {**HERE, "self": 1}, {}],
    "links a list": [[], {}, [1]],
    "a type of kombu's in it": [[{"__type__": "decimal", "__value__": "x"}], {}, {}],
    "callbacks": [[], HERE, {"callbacks": [SPY]}],
    "errbacks": [[], HERE, {"errbacks": [SPY]}],
    "chord": [[], HERE, {"chord": SPY}],
    "chain": [[], HERE, {"chain": [SPY]}],
    "an id": [[], HERE, {"id": []}],
    "a host name": [[], HERE, {"hostname": {}}],
}


@pytest.fixture(scope="module")
def victim(tls_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    """A plotter's worker, attacked by a harvester."""
    folder = tmp_path_factory.mktemp("messages")
    secured = Secured(folder / "secrets", tls=False)
    secured.make("--plotter", "p1", "--harvester", "h1", "--scheduler", "boss")
    secured.start(tls_server)
    machines = Machines(folder, secured)
    for name in ("tmp", "dst"):
        (folder / name).mkdir()
    machines.configure(
        "p1",
        logging={"plots": str(folder / "logs")},
        directories={"tmp": [str(folder / "tmp")], "dst": [str(folder / "dst")]},
        scheduling=SCHEDULING,
        plotting={"type": "chia", "chia": {"executable": "/bin/true"}},
    )
    log = machines.begin("p1", "plotman.serve", "plotter@p1")
    yield Attacked(machines, log, "p1", "plotter.p1", secured.client("h1"))
    machines.stop()
    secured.stop()


def hostile() -> dict[str, str | bytes]:
    envelopes = {name: json.dumps(forged(**changes)) for name, changes in ENVELOPES.items()}
    bodies = {
        f"body: {name}": json.dumps(forged(body=base64.b64encode(json.dumps(body).encode()).decode()))
        for name, body in BODIES.items()
    }
    return ENTRIES | envelopes | bodies


def test_the_worker_drops_each_with_one_line_and_still_answers(victim: Attacked) -> None:
    messages, before = hostile(), len(victim.dropped())
    victim.send(*messages.values())
    victim.answers()
    dropped = victim.dropped()[before:]
    print(f"messages: {len(messages)} tried, {len(dropped)} dropped")
    assert len(dropped) == len(messages)
    assert all("from queue plotter.p1: " in line or "from queue q: " in line for line in dropped)
    assert all(line.isprintable() and len(line) < 500 for line in dropped)
    assert "Traceback" not in victim.log


@pytest.mark.parametrize("name", ["callbacks", "errbacks", "chain", "chord"])
def test_a_header_makes_the_worker_send_no_task(victim: Attacked, name: str) -> None:
    """Celery takes what it knows by another name from headers, where the body says nothing."""
    links = [SPY] if name != "chord" else SPY
    message = forged(KILL, body=body_of(kwargs=HERE), **{f"headers__{name}": links})
    victim.send(message)
    assert victim.ended(message)["result"]["exc_type"] == "NoSuchPlot"
    victim.answers()
    assert victim.result("spy") is None
    assert "Traceback" not in victim.log


def test_compressed_messages_are_not_unpacked(victim: Attacked) -> None:
    packer = zlib.compressobj(9, wbits=31)
    packed = b"".join(packer.compress(b" " * 1_000_000) for _ in range(600)) + packer.flush()
    bomb = base64.b64encode(packed).decode()
    assert len(bomb) < 1_000_000
    before = victim.process.memory_info().rss
    victim.send(*(forged(headers__compression=kind, body=bomb) for kind in ("gzip", "application/x-gzip")))
    victim.answers()
    peak = next(
        int(line.split()[1]) * 1024
        for line in Path(f"/proc/{victim.process.pid}/status").read_text().splitlines()
        if line.startswith("VmHWM")
    )
    assert peak < before + 150_000_000


def test_a_task_that_is_not_known_is_answered_so(victim: Attacked) -> None:
    answer = victim.call("plotter_worker.of_the_future")
    assert answer["result"]["exc_type"] == "NotRegistered"
    assert "Traceback" not in victim.log


def test_what_lies_in_place_of_its_result_hinders_no_task(victim: Attacked) -> None:
    """Each worker's user may write results."""
    lies = ("x", "[]", "5", DEEP, '{"status": []}', '{"status": "FAILURE", "result": 5}')
    for number, lie in enumerate(lies):
        message = forged(KILL, body=body_of(kwargs=HERE))
        victim.lie(message["headers"]["id"], lie)
        victim.send(message)
        assert victim.ended(message)["result"]["exc_type"] == "NoSuchPlot", number
    assert "Traceback" not in victim.log


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)
PLACES = [
    *(("headers", name) for name in ("id", "task", "eta", "expires", "timelimit", "retries", "shadow")),
    *(("headers", name) for name in ("argsrepr", "origin", "stamps", "callbacks", "chain", "clock", "meth")),
    *(("properties", name) for name in ("delivery_tag", "delivery_info", "reply_to", "priority")),
    *((name,) for name in ("headers", "properties", "body", "content-type", "content-encoding")),
]


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """A message with other values in one to three of its places, or with a byte changed."""
    body = draw(JSON) if draw(st.booleans()) else [[], HERE, {}]
    message = forged(
        draw(st.sampled_from([KILL, TRANSFER, RELEASE, "plotter_worker.pause"])),
        body=base64.b64encode(json.dumps(body).encode()).decode(),
        headers__id="1",
        properties__delivery_tag="1",
    )
    for place in draw(st.lists(st.sampled_from(PLACES), max_size=3)):
        part: Any = message
        for key in place[:-1]:
            part = part[key] if isinstance(part, dict) and isinstance(part.get(key), dict) else {}
        part[place[-1]] = draw(JSON)
    text = bytearray(json.dumps(message).encode())
    if draw(st.integers(0, 9)) == 0:
        text[draw(st.integers(0, len(text) - 1))] = draw(st.integers(0, 255))
    return bytes(text)


@settings(
    max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
@given(messages=st.lists(spoiled(), min_size=10, max_size=10))
def test_no_spoiled_message_ends_the_worker_or_leaves_a_traceback(
    victim: Attacked, messages: list[bytes]
) -> None:
    victim.send(*messages)
    victim.answers()
    assert "Traceback" not in victim.log, messages


def test_no_message_waits_in_the_worker_for_later(victim: Attacked) -> None:
    victim.send(forged(headers__eta="2099-01-01T00:00:00+00:00", body=body_of(kwargs=HERE)))
    victim.answers()
    assert victim.waiting() == 0


def test_a_command_that_changes_what_a_worker_consumes_is_dropped(victim: Attacked) -> None:
    before = len(victim.dropped())
    victim.broadcast("add_consumer", queue="spied")
    (line,) = eventually(lambda: victim.dropped()[before:], "the command is dropped")
    assert "from queue celery.pidbox: it is no command" in line
    victim.broadcast("revoke", task_id="none", terminate=1, signal="SIGTERM")
    victim.answers()
    assert len(victim.dropped()) == before + 1
