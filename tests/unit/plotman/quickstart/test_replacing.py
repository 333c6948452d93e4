from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from common import names
from common.errors import OrderRefused, PlotmanError
from common.history.rows import End, LandingEnd
from common.model.replot_order import ReplotOrder
from common.model.replot_report import ReplotClassReport, ReplotReport, ReplotState
from plotman.control.farm import FarmState
from plotman.control.rpc import TaskCall
from plotman.quickstart import replacing
from plotman.quickstart.settings import OLD, Layout
from tests.support import showcase


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path)
    made.create()
    return made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[TaskCall]:
    calls: list[TaskCall] = []

    def ask(questions: list[TaskCall], *, timeout_s: float) -> list[Any]:
        calls.extend(questions)
        return ["done"]

    monkeypatch.setattr(replacing, "ask_each", ask)
    return calls


def farm(report: ReplotReport | None) -> FarmState:
    shown = showcase.small()
    (host,) = shown.harvesters
    shown.harvesters[host] = shown.harvesters[host].model_copy(update={"replot_report": report})
    return shown


def test_the_order_is_given_once_and_names_only_plots_of_this_size(
    layout: Layout, asked: list[TaskCall]
) -> None:
    run = replacing._Replacing(layout, 19)
    for _ in range(2):
        assert run.step(farm(None)) == "The order is on its way ..."
    (call,) = asked
    assert call.task == names.REPLOT
    (one,) = ReplotOrder.read(host=call.host, **call.kwargs).classes
    assert (one.name, one.k, one.levels) == (OLD, 19, (0,))


def test_a_refused_order_and_a_harvester_that_stopped_end_it(
    layout: Layout, asked: list[TaskCall], monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = ReplotReport(state=ReplotState.STOPPED, why="its journal cannot be read")
    with pytest.raises(PlotmanError, match="its journal cannot be read"):
        replacing._Replacing(layout, 18).step(farm(stopped))
    monkeypatch.setattr(replacing, "ask_each", lambda *_, **__: [OrderRefused("no proofs", "cure")])
    with pytest.raises(OrderRefused, match="no proofs"):
        replacing._Replacing(layout, 18).step(farm(None))


def test_few_new_plots_wait_and_the_end_is_when_none_does(layout: Layout, asked: list[TaskCall]) -> None:
    run = replacing._Replacing(layout, 18)
    classes = (ReplotClassReport(name=OLD, left_plots=2),)
    waits = ReplotReport(state=ReplotState.WAITING, why="waits", classes=classes, deleted_plots=1)
    for _ in range(3):
        assert "1 of 3 old plots replaced" in str(run.step(farm(waits)))
    made = [path for folder in layout.dst for path in folder.glob("plot-k20-*.gplot")]
    assert len(made) == replacing._WAITING_MOST
    done = ReplotReport(state=ReplotState.DONE)
    assert run.step(farm(done)) is not None
    for path in made:
        path.unlink()
    assert run.step(farm(done)) is None


def old(after_s: float, size_bytes: int, now: datetime) -> LandingEnd:
    at = now + timedelta(seconds=after_s)
    return LandingEnd(key=f"{at}", host="h", ended_at=at, end=End.REPLACED, size_bytes=size_bytes)


def test_it_is_an_error_if_an_old_plot_went_before_as_many_bytes_of_new_ones_had_come(tmp_path: Path) -> None:
    plot = tmp_path / "new.gplot"
    plot.write_bytes(bytes(100))
    now = datetime.fromtimestamp(plot.stat().st_ctime, UTC)
    new = LandingEnd(key="n", host="h", ended_at=now + timedelta(1), end=End.LANDED, path=f"{plot}")
    replacing.must_have_come_first([new, old(2, 40, now), old(1, 60, now)])
    for early in (old(-1, 60, now), old(3, 1, now)):
        with pytest.raises(PlotmanError, match="of new ones had come"):
            replacing.must_have_come_first([new, early, old(2, 40, now), old(1, 60, now)])
    plot.unlink()
    with pytest.raises(PlotmanError, match="when 0 B of new ones"):
        replacing.must_have_come_first([new, old(1, 1, now)])
