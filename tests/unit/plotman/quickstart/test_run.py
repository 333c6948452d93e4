from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from common.errors import PlotmanError
from common.history.rows import End
from common.model.snapshot import Failures
from common.names import PAUSE
from plotman.control.rpc import TaskCall
from plotman.quickstart import run
from plotman.quickstart import watch as watch_module
from plotman.quickstart.progress import Progress
from plotman.quickstart.settings import Layout
from plotman.quickstart.up import UpProcess
from plotman.quickstart.watch import Watch
from tests.support import showcase
from tests.unit.plotman.quickstart.test_progress import plot


@pytest.fixture
def a_run(tmp_path: Path) -> run.Run:
    layout = Layout(tmp_path)
    return run.Run(layout, None, showcase.T, wanted=2)  # type: ignore[arg-type]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[TaskCall]:
    calls: list[TaskCall] = []

    def ask(questions: list[TaskCall], *, timeout_s: float) -> list[Any]:
        calls.extend(questions)
        return ["done"]

    monkeypatch.setattr(run, "ask_each", ask)
    return calls


def test_as_many_plots_are_started_as_failed(a_run: run.Run, asked: list[TaskCall]) -> None:
    progress = Progress((plot("a"), plot("b", End.FAILED)), {})
    a_run._check_failures(showcase.small(), progress)
    a_run._check_failures(showcase.small(), progress)
    assert asked == [TaskCall(PAUSE, "p1", {"after": 1})]


def test_the_fourth_failure_ends_the_run(a_run: run.Run, asked: list[TaskCall]) -> None:
    failed = tuple(plot(str(number), End.FAILED, reason="disk full") for number in range(4))
    with pytest.raises(PlotmanError, match="4 plots failed, the last one because: disk full"):
        a_run._check_failures(showcase.small(), Progress(failed, {}))
    assert not asked


def test_a_plotter_that_dies_at_once_ends_the_run_but_not_by_what_an_earlier_run_left(a_run: run.Run) -> None:
    farm = showcase.small()
    failures = Failures(consecutive=3, last_reason="no such option")
    farm.plotters["p1"] = farm.plotters["p1"].model_copy(update={"failures": failures})
    with pytest.raises(PlotmanError, match="no such option"):
        a_run._check_failures(farm, Progress((), {}))
    a_run.since = datetime.max.replace(tzinfo=showcase.T.tzinfo)
    a_run._check_failures(farm, Progress((), {}))


def test_a_run_without_any_change_ends_with_the_reasons_of_the_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm = showcase.small()
    watch = Watch(None, UpProcess(Layout(tmp_path)), Console(), showcase.T)  # type: ignore[arg-type]
    watch._must_change(farm, "0 of 2")
    watch._must_change(farm, "0 of 2")
    monkeypatch.setattr(watch_module, "_STALL_S", 0.0)
    watch._must_change(farm, "1 of 2")
    with pytest.raises(PlotmanError, match=r"stagger 1623s/1800s|no scheduler"):
        watch._must_change(farm, "1 of 2")


def test_a_run_is_done_when_the_sources_are_deleted(a_run: run.Run, tmp_path: Path) -> None:
    source = tmp_path / "a.plot"
    source.touch()
    made = (plot("a", path=str(source)), plot("b", path=str(tmp_path / "b.plot")))
    landings: Any = dict.fromkeys("ab")
    assert not a_run._done(Progress(made, landings))
    source.unlink()
    assert a_run._done(Progress(made, landings))
    assert not a_run._done(Progress(made[:1], landings))
