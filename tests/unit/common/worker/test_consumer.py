"""What is in a queue and is no task of plotman's ends no worker, and makes it send nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kombu.message import Message

from common.store.farm_clock import CLOCK
from common.worker import transport
from common.worker.consumer import _is_command, wrong
from tests.support.wrong_clock import DAY_S, HOUR_S, set_ahead

RESERVE = {"task": "harvester_worker.reserve", "id": "1"}
NEXT = {
    "task": "plotter_worker.transfer",
    "args": [],
    "kwargs": {"host": "p1"},
    "options": {"task_id": "2", "reply_to": "3", "argsrepr": "()", "kwargsrepr": "p1 -> h1"},
    "subtask_type": None,
    "immutable": False,
}


def message(body: Any, headers: Any = RESERVE, content_type: str = "application/json") -> Message:
    text = body if isinstance(body, bytes | str | None) else json.dumps(body)
    return Message(body=text, headers=headers, content_type=content_type, content_encoding="utf-8")


@pytest.mark.parametrize(
    "links", [None, {}, {"callbacks": None, "errbacks": None, "chain": [NEXT], "chord": None}]
)
def test_what_celery_sends_is_a_task(links: Any) -> None:
    assert wrong(message([[{"a": 1}], {"host": "h"}, links])) is None


def with_options(**options: Any) -> dict[str, Any]:
    return {"chain": [NEXT | {"options": {**NEXT["options"], **options}}]}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "links",
    [
        [1],
        {"callbacks": [NEXT]},
        {"errbacks": [NEXT]},
        {"chord": NEXT},
        {"chain": {"task": "x"}},
        {"chain": [NEXT, NEXT]},
        {"chain": [NEXT | {"task": "plotter_worker.kill"}]},
        {"chain": [NEXT | {"task": []}]},
        {"chain": [NEXT | {"args": [{"path": "/x"}]}]},
        {"chain": [NEXT | {"kwargs": {"host": "p1", "reservation": {}}}]},
        {"chain": [NEXT | {"immutable": True}]},
        {"chain": [NEXT | {"subtask_type": "group"}]},
        {"chain": [NEXT | {"chord_size": 1}]},
        with_options(queue="plotter.p1"),
        with_options(link=[NEXT]),
        with_options(headers={"callbacks": [NEXT]}),
        with_options(task_id="x\n"),
        {"id": []},
        {"args": []},
        {"called_directly": True},
        {"delivery_info": 5},
    ],
)
def test_a_message_makes_no_worker_send_tasks_but_the_next_step_of_a_move_and_replaces_no_field(
    links: Any,
) -> None:
    assert wrong(message([[], {"host": "h"}, links])) == "its body is not a task's"


def test_the_last_step_of_a_move_is_followed_by_none() -> None:
    release = {"task": "plotter_worker.release", "id": "1"}
    assert wrong(message([[], {"host": "h"}, {"chain": [NEXT]}], headers=release)) is not None


@pytest.mark.parametrize(
    "body",
    [
        None,
        "",
        "x",
        b"\xff",
        5,
        [],
        [[], {}],
        [[], {}, {}, {}],
        ["abc", {}, {}],
        [[], [1], {}],
        [[], {"self": 1}, {}],
        f"[[{'[' * 100_000}{']' * 100_000}], {{}}, {{}}]",
        f"[[{'9' * 10_000}], {{}}, {{}}]",
        [[{"__type__": "decimal", "__value__": "x"}], {}, {}],
        [[{"__type__": [], "__value__": 1}], {}, {}],
        [[{"__type__": "uuid", "__value__": {"hex": 5}}], {}, {}],
    ],
)
def test_whatever_has_another_body_is_none(body: Any) -> None:
    assert wrong(message(body)) == "its body is not a task's"


def test_headers_in_the_body_and_other_types_are_not_taken() -> None:
    first_protocol = {"task": "plotter_worker.release", "id": [], "args": [], "kwargs": {}}
    assert wrong(message(first_protocol, headers={})) == "it names no task"
    assert wrong(message(first_protocol, headers=None)) == "it names no task"
    assert wrong(message([[], {}, {}], headers={"task": "x", "id": None})) == "it names no task"
    assert wrong(message([[], {}, {}], content_type="application/x-yaml")) == "it is not JSON"


def command(**changes: Any) -> dict[str, Any]:
    return {
        "method": "revoke",
        "arguments": {"task_id": "1", "terminate": True, "signal": "SIGTERM"},
        "destination": None,
        "pattern": None,
        "matcher": None,
        "ticket": "2",
        "reply_to": {"exchange": "reply.celery.pidbox", "routing_key": "3"},
    } | changes


@pytest.mark.parametrize(
    "body",
    [
        command(),
        command(arguments={"task_id": "1", "terminate": 1, "signal": "SIGTERM"}),  # Flower's
        command(arguments={"task_id": "1", "terminate": True, "signal": "TERM"}),
        command(method="ping", arguments={}),
        command(method="shutdown", arguments={}),
    ],
)
def test_commands_of_celery_and_flower_are_taken(body: Any) -> None:
    assert _is_command(body)


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        command(method=[]),
        command(method="add_consumer", arguments={"queue": 5}),
        command(method="pool_shrink", arguments={"n": 1000}),
        command(method="hello", arguments={"from_node": "x", "revoked": {"a": 1}}),
        command(method="election", arguments={"id": 1, "topic": "x"}),
        command(method="revoke_by_stamped_headers", arguments={"headers": 5}),
        command(arguments={"task_id": [[1]]}),
        command(arguments={"task_id": 5}),
        command(arguments={"task_id": "1", "signal": "x"}),
        command(arguments={}),
        command(method="stats", arguments=[]),
        command(method="active_queues", arguments={"msg": "x"}),
        command(destination="plotter@p1"),
        command(pattern="(a+)+$", matcher="pcre"),
        command(reply_to={"exchange": "", "routing_key": "plotter.p1"}),
        command(reply_to={"exchange": "reply.celery.pidbox"}),
        command(state=1),
    ],
)
def test_other_commands_are_dropped(body: Any) -> None:
    assert not _is_command(body)


def test_a_message_longer_than_any_of_plotmans_is_garbage_even_if_it_is_well_formed() -> None:
    text = json.dumps({"body": "x" * transport._MOST_BYTES})
    assert transport._loads(text) == transport._Garbage(len(text), f"more than {transport._MOST_BYTES} bytes")
    assert transport._loads(json.dumps({"body": "x"})) == {"body": "x"}


@pytest.mark.parametrize("ahead_s", [-2 * HOUR_S, DAY_S])
def test_a_message_expires_by_the_farms_clock_whatever_its_sender_and_its_receiver_have(
    ahead_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_ahead(monkeypatch, ahead_s)
    right = datetime(2026, 11, 22, tzinfo=UTC)
    headers = {"expires": (right + timedelta(seconds=ahead_s)).isoformat()}
    transport.correct_expiry(headers, "redis://nowhere")
    assert abs(datetime.fromisoformat(headers["expires"]) - right) < timedelta(seconds=1)
    sent = {"headers": headers, "properties": {"delivery_tag": "t"}}
    as_sent = json.dumps(sent)
    received = transport.Channel.Message(sent)
    local = datetime.fromisoformat(received.headers["expires"])
    assert abs(local - right - timedelta(seconds=ahead_s)) < timedelta(seconds=1)
    assert json.dumps(received._raw) == as_sent, "which goes back to the queue if this worker ends"
    broadcast: dict[str, Any] = {"expires": 1e9}
    transport._correct(broadcast, -CLOCK.correction)
    assert broadcast["expires"] == pytest.approx(1e9 + ahead_s, abs=1)
