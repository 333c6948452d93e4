"""A selector of a plot that has ended: the answer says how, and not which task it was."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from common.errors import NoSuchPlot
from common.history.recorder import history_path
from common.history.rows import End, PlotEnd
from common.history.store import open_or_begin_anew
from common.names import Role
from plotter_worker.tasks.control import _selected

TASK = "3f0f63a4-2f0e-4ad5-9a57-4c1d1f0b2a11"
PLOT = "6b4e7375" * 8


def plotter(state: Path) -> Any:
    jobs = SimpleNamespace(running=list)
    return SimpleNamespace(name="p1", settings=SimpleNamespace(state_dir=state), jobs=jobs)


def ended(state: Path, **fields: Any) -> None:
    path = history_path(state, Role.PLOTTER)
    path.parent.mkdir(exist_ok=True)
    given = {"key": "k", "host": "p1", "ended_at": datetime.now(UTC), "task_id": TASK, "plotter": "chia"}
    file = open_or_begin_anew(path)
    file.put([PlotEnd(**given | {"plot_id": PLOT, "end": End.DONE} | fields)])
    file.close()


@pytest.mark.parametrize("selector", [TASK, PLOT, "6b4e73"])
@pytest.mark.parametrize(
    ("fields", "how"),
    [
        ({}, "Plot 6b4e7375 on p1 has ended: done."),
        ({"end": End.FAILED, "reason": "no room."}, "Plot 6b4e7375 on p1 has ended: failed (no room)."),
        ({"end": End.KILLED}, "Plot 6b4e7375 on p1 has ended: killed."),
    ],
)  # fmt: skip
def test_a_plot_that_has_ended_is_named_with_its_end(
    tmp_path: Path, selector: str, fields: dict[str, Any], how: str
) -> None:
    ended(tmp_path, **fields)
    with pytest.raises(NoSuchPlot) as raised:
        _selected(plotter(tmp_path), selector)
    assert raised.value.what == how


def test_a_plot_whose_end_is_not_known_is_not_named_by_its_task(tmp_path: Path) -> None:
    with pytest.raises(NoSuchPlot) as raised:
        _selected(plotter(tmp_path), TASK)
    assert raised.value.what == "The plot on p1 is no longer running."


def test_a_selector_of_no_plot_is_repeated(tmp_path: Path) -> None:
    ended(tmp_path)
    with pytest.raises(NoSuchPlot) as raised:
        _selected(plotter(tmp_path), "c0ffee")
    assert raised.value.what == "No plot c0ffee is being made on p1."
