"""What is in a queue and is no task of plotman's ends no worker."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kombu.message import Message

from common.worker.consumer import wrong

TASK = {"task": "plotter_worker.release", "id": "1"}


def message(body: Any, headers: Any = TASK, content_type: str = "application/json") -> Message:
    text = body if isinstance(body, bytes | str | None) else json.dumps(body)
    return Message(body=text, headers=headers, content_type=content_type, content_encoding="utf-8")


@pytest.mark.parametrize(
    "links", [None, {}, {"callbacks": None, "chain": [{**TASK, "options": {"reply_to": "x"}}]}]
)
def test_what_celery_sends_is_a_task(links: Any) -> None:
    assert wrong(message([[{"a": 1}], {"host": "h"}, links])) is None


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
        ["abc", {}, {}],
        [[], [1], {}],
        [[], {}, [1]],
        [[], {}, {"callbacks": [TASK]}],
        [[], {}, {"errbacks": [{**TASK, "subtask_type": "chord"}]}],
        [[], {}, {"chain": [{**TASK, "subtask_type": "group"}]}],
        [[], {}, {"chain": [{**TASK, "options": {"link": [TASK]}}]}],
        [[], {}, {"chain": {"task": "x"}}],
        [[], {}, {"chord": {"task": []}}],
        f"[[{'[' * 100_000}{']' * 100_000}], {{}}, {{}}]",
        f"[[{'9' * 10_000}], {{}}, {{}}]",
    ],
)
def test_whatever_has_another_body_is_none(body: Any) -> None:
    assert wrong(message(body)) == "its body is not a task's"


def test_headers_in_the_body_and_other_types_are_not_taken() -> None:
    first_protocol = {"task": "plotter_worker.release", "id": [], "args": [], "kwargs": {}}
    assert wrong(message(first_protocol, headers={})) == "it names no task"
    assert wrong(message(first_protocol, headers=None)) == "it names no task"
    assert wrong(message([[], {}, {}], content_type="application/x-yaml")) == "it is not JSON"
