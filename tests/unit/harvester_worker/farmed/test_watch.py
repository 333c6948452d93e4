"""What is reported of plots that chia does not farm, and how often."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.model.snapshot import Event
from common.system.chia_service import ChiaSilent
from harvester_worker.farmed import watch as module
from harvester_worker.farmed.chia_rpc import ChiaView
from harvester_worker.farmed.watch import FarmedWatch
from tests.support.waiting import eventually


class Bench:
    """A drive, chia's answer, and the events."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.drive = folder / "drive"
        self.drive.mkdir()
        self.events: list[Event] = []
        self.asked: list[str] = []
        self.answer: Callable[[], ChiaView] = self.view
        self.watches: list[FarmedWatch] = []
        self.watch = self.begin()

    def begin(self, root: str | None = "/chia") -> FarmedWatch:
        self.watch = FarmedWatch("h1", root, self.folder / "told.json", self.events.append, self._ask)
        self.watches.append(self.watch)
        return self.watch

    def _ask(self, root: str) -> ChiaView:
        self.asked.append(root)
        return self.answer()

    def view(self, *plots: Path, failed: tuple[Path, ...] = (), searched: bool = True) -> ChiaView:
        folders = (str(self.drive),) if searched else ()
        return ChiaView(frozenset(map(str, plots)), frozenset(map(str, failed)), folders, interval_s=10)

    def land(self, name: str = "a.plot") -> Path:
        path = self.drive / name
        path.touch()
        self.watch.landed(str(path))
        return path

    def texts(self) -> list[str]:
        return [event.text for event in self.events]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for watch in made.watches:
        watch.stop()


NOW_S = 1e12  # later than any landing


def test_without_a_chia_root_nothing_is_asked(bench: Bench) -> None:
    bench.begin(root=None)
    bench.land()
    bench.watch.once(NOW_S)
    assert (bench.asked, bench.events, bench.watch.problems()) == ([], [], ())


def test_without_a_landing_nothing_is_asked(bench: Bench) -> None:
    bench.watch.once(NOW_S)
    assert bench.asked == []


def test_a_plot_that_is_farmed_is_asked_about_no_more(bench: Bench) -> None:
    plot = bench.land()
    bench.answer = lambda: bench.view(plot)
    for _ in range(3):
        bench.watch.once(NOW_S)
    assert (bench.asked, bench.events) == (["/chia"], [])


def test_a_drive_that_chia_does_not_search_is_reported_once_and_until_it_is_mended(bench: Bench) -> None:
    plots = [bench.land("a.plot"), bench.land("b.plot")]
    bench.answer = lambda: bench.view(searched=False)
    bench.watch.once(NOW_S)
    bench.land("c.plot")
    bench.watch.once(NOW_S)
    remedy = f"Run `chia plots add -d {bench.drive}`."
    sentence = f"chia does not search {bench.drive}: its plots are not farmed. {remedy}"
    assert bench.texts() == [f"h1: {sentence}"]
    assert bench.events[0].kind == "not-farmed"
    assert bench.watch.problems() == (sentence,)

    bench.answer = lambda: bench.view(*plots, bench.drive / "c.plot")
    bench.watch.once(NOW_S)
    assert bench.watch.problems() == ()
    bench.watch.once(NOW_S)
    assert len(bench.asked) == 3
    bench.land("d.plot")
    bench.answer = lambda: bench.view(searched=False)
    bench.watch.once(NOW_S)
    assert len(bench.events) == 2, "it was removed from chia again"


def test_a_restart_repeats_no_report(bench: Bench) -> None:
    bench.land()
    bench.answer = lambda: bench.view(searched=False)
    bench.watch.once(NOW_S)
    bench.begin()
    bench.land()
    bench.watch.once(NOW_S)
    assert len(bench.events) == 1
    assert len(bench.watch.problems()) == 1


def test_a_plot_that_chia_cannot_open_is_reported_until_it_is_gone(bench: Bench) -> None:
    plot = bench.land()
    bench.answer = lambda: bench.view(failed=(plot,))
    bench.watch.once(NOW_S)
    bench.watch.once(NOW_S)
    assert len(bench.events) == 1
    assert bench.watch.problems()[0].startswith(f"chia cannot open {plot}")
    plot.unlink()
    bench.watch.once(NOW_S)
    assert bench.watch.problems() == ()
    asked = len(bench.asked)
    bench.watch.once(NOW_S)
    assert len(bench.asked) == asked


def test_a_chia_that_does_not_answer_is_reported_once_in_each_outage(bench: Bench) -> None:
    def silent() -> ChiaView:
        raise ChiaSilent("It does not answer.", "Start it.")

    plot = bench.land()
    bench.answer = silent
    bench.watch.once(NOW_S)
    bench.watch.once(NOW_S)
    assert bench.texts() == ["h1: It does not answer. Start it."]
    assert bench.watch.problems() == ("It does not answer. Start it.",)
    bench.answer = lambda: bench.view(plot)
    bench.watch.once(NOW_S)
    assert bench.watch.problems() == ()
    bench.land()
    bench.answer = silent
    bench.watch.once(NOW_S)
    assert len(bench.events) == 2


def test_a_landing_wakes_the_watch(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AT_ONCE_S", 0.0)
    monkeypatch.setattr(module, "_AGAIN_S", 0.02)
    bench.answer = lambda: bench.view(searched=False)
    bench.watch.start()
    bench.land()
    eventually(lambda: bench.events, "it is reported")
    bench.watch.configure(None)
    eventually(lambda: bench.watch.problems() == (), "it is not watched any more")


def test_no_more_plots_are_watched_than_fit(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_WATCHED", 2)
    for name in "abc":
        bench.land(f"{name}.plot")
    assert [Path(plot).name for plot in bench.watch._landed] == ["b.plot", "c.plot"]


def test_a_plot_that_lands_again_while_chia_is_asked_is_asked_about_again(bench: Bench) -> None:
    plot = bench.land()

    def meanwhile() -> ChiaView:
        bench.watch.landed(str(plot))
        return bench.view(plot)

    bench.answer = meanwhile
    bench.watch.once(NOW_S)
    bench.answer = lambda: bench.view(failed=(plot,))
    bench.watch.once(NOW_S)
    assert len(bench.events) == 1


def test_a_chia_that_is_not_configured_any_more_is_not_asked(bench: Bench) -> None:
    bench.land()
    bench.watch.configure(None)
    bench.watch.once(NOW_S)
    assert bench.asked == []
