"""What the tests of the plan have in common: harvesters that answer."""

from __future__ import annotations

from typing import Any

import pytest

from plotman.control.rpc import TaskCall
from tests.support.replotted import C7_BYTES, K32, file, row
from tests.support.stored import C7, OG, let_answer


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[TaskCall]:
    """The harvester h1 answers: 5000 plots of 100 TiB without compression and two of C7."""

    def answer(call: TaskCall) -> Any:
        if call.kwargs["what"] == "sums":
            sums = [row("/1", OG, 500, K32), row("/2", OG, 500, K32), row("/2", C7, 2, C7_BYTES)]
            return {"drives": [], "duplicates": 0, "sums": sums, "next": None}
        (of,) = call.kwargs["classes"]
        if of["compression"] == 7:
            return {"files": [file(path, "c", C7, C7_BYTES) for path in ("/1", "/2")], "next": None}
        names = [(path, name) for path in ("/1", "/2", "/elsewhere") for name in ("a", "b")]
        return {"files": [file(path, name, OG, K32) for path, name in names], "next": None}

    return let_answer(monkeypatch, {"h1": answer})
