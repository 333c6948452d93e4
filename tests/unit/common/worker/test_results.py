"""Any worker's user may write results: no class is taken from one, and nothing unexpected is raised."""

from __future__ import annotations

import json
from typing import Any

import pytest
from celery import Celery

from common.errors import NoRoom
from common.worker.results import Backend

BACKEND = Backend(app=Celery(), url="redis://127.0.0.1:1/0")


def result(**fields: Any) -> bytes:
    return json.dumps({"status": "FAILURE", "task_id": "1", "result": None} | fields).encode()


def error(exc_type: Any, exc_message: Any = ("x",), exc_module: Any = "builtins") -> dict[str, Any]:
    return {"exc_type": exc_type, "exc_message": exc_message, "exc_module": exc_module}


def test_an_error_of_ours_is_that_error() -> None:
    read = BACKEND.decode_result(result(result=error("NoRoom", ["h1 is full.", "Add a drive."])))["result"]
    assert type(read) is NoRoom
    assert str(read) == "h1 is full. Add a drive."


@pytest.mark.parametrize("kind", ["SystemExit", "KeyboardInterrupt", "OSError", "system", "PermissionError"])
def test_of_another_error_only_its_name_and_text_are_kept(kind: str) -> None:
    read = BACKEND.decode_result(result(result=error(kind, [2, "x"])))["result"]
    assert type(read) is Exception
    assert str(read) == f"{kind}: 2 x"


@pytest.mark.parametrize("message", [[], [5], [[1]], "x", ["a", "b", "c"]])
def test_an_error_of_ours_has_a_text_whatever_its_message_is(message: Any) -> None:
    assert isinstance(str(BACKEND.decode_result(result(result=error("NoRoom", message)))["result"]), str)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"x",
        b"\xff",
        b"[]",
        b"5",
        b"{}",
        b"[" * 100_000,
        b"[" + b" " * 17_000_000 + b"]",
        result(status=[]),
        result(task_id=None),
        result(traceback=[1]),
        result(result=5),
        result(result=error([])),
        result(result=error("common.errors.NoRoom")),
        result(result=error("x\n")),
        result(result=error("NoRoom", {"a": 1})),
    ],
)
def test_what_is_no_result_is_a_value_error(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        BACKEND.decode_result(payload)


def test_children_are_not_followed() -> None:
    read = BACKEND.decode_result(result(status="SUCCESS", children=[[["x", 5], {}]]))
    assert read["children"] is None
