"""The table of `plotman inventory --farmed`."""

from __future__ import annotations

from typing import Any

import pytest

from common.errors import OrderRefused
from plotman.control.queries import farmed
from plotman.control.rpc import TaskCall, checked

ROWS = [
    {"drive": "/f/1", "searched": True, "files": 1200, "farmed": 1190, "failed": 4},
    {"drive": "/f/2", "searched": False, "files": 3},
    {"drive": "/f/3", "searched": False},
]
FILE = {"drive": "/f/1", "name": "b.plot", "size_bytes": 0, "reason": "chia cannot open it"}


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> farmed.FarmedAnswers:
    def ask_each(calls: list[TaskCall], **_: Any) -> list[Any]:
        answer = {"host": "h1", "farmed": ROWS, "files": [FILE]}
        refusal = OrderRefused("h2 does not know its chia.", "Set harvester.chia_root in its plotman.yaml.")
        return [checked(call.task, "h1", answer) if call.host == "h1" else refusal for call in calls]

    monkeypatch.setattr(farmed, "ask_each", ask_each)
    monkeypatch.setattr(farmed, "harvesters", lambda _: (["h1", "h2"], {"h3": "the harvester is silent"}))
    return farmed.ask_farmed(None, None)


def test_each_drive_is_a_row(found: farmed.FarmedAnswers) -> None:
    assert farmed.table(found).rows == (
        ("h1", "/f/1", "yes", "1,200", "1,190", "4", "6"),
        ("h1", "/f/2", "no", "3", "0", "0", "3"),
        ("h1", "/f/3", "no", "0", "0", "0", "0"),
    )


def test_a_drive_with_plots_that_chia_does_not_search_has_a_remedy(found: farmed.FarmedAnswers) -> None:
    assert list(farmed.remedies(found)) == [
        "h1: chia does not search /f/2. Run `chia plots add -d /f/2` there."
    ]


def test_json(found: farmed.FarmedAnswers) -> None:
    document = farmed.as_dict(found)
    assert document["drives"][0] == {"host": "h1", **ROWS[0], "unopened": 6}
    assert document["files"] == [
        {"host": "h1", "drive": "/f/1", "name": "b.plot", "reason": "chia cannot open it"}
    ]
    assert [one["host"] for one in document["missing"]] == ["h3", "h2"]
