"""Limits on how often a busy farm is read and drawn."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from textual._compositor import Compositor
from textual.app import App
from textual.message import Message
from textual.pilot import Pilot

from common import names
from common.errors import ConfigError
from common.model.snapshot import Event
from plotman.control.farm import FarmState
from plotman.control.rpc import TaskCall
from plotman.dashboard import feed as module
from plotman.dashboard.details import Details, PlotLog
from plotman.dashboard.dialogs import ConfirmDialog
from plotman.dashboard.feed import LONGEST_PAUSE_S, READ_S, BrokerLost, EventsRead, FarmRead, Feed, ReadPace
from tests.support import showcase
from tests.support.showcase import Recorded, Recorder
from tests.support.waiting import eventually
from tests.unit.plotman.dashboard.conftest import Shown, dashboard, screen, settle, until


class Busy:
    """A farm with an event at every read."""

    def __init__(self) -> None:
        self.count = 0

    def read(self) -> FarmState:
        return showcase.small()

    def events(self, after: str | None, wait_s: float) -> list[tuple[str, Event]]:
        self.count += 1
        return [(f"{self.count}-0", showcase.event(1, "archived", "p1", f"event {self.count}"))]


def test_a_busy_farm_is_read_once_a_second() -> None:
    reads: list[float] = []
    enough = threading.Event()

    def post(message: Message) -> None:
        if isinstance(message, FarmRead):
            reads.append(time.monotonic())
        if len(reads) == 6:
            enough.set()

    feed = Feed(Busy(), post)
    feed.start()
    assert enough.wait(20)
    feed.stop()
    pauses = [after - before for before, after in pairwise(reads)]
    assert pauses[-1] >= 1.0
    assert sum(pauses) >= 3.5


def test_an_event_is_posted_before_the_farm_is_read() -> None:
    class Slow(Busy):
        def read(self) -> FarmState:
            slow.wait(20)
            return super().read()

    slow, posted = threading.Event(), threading.Event()

    def post(message: Message) -> None:
        assert isinstance(message, EventsRead) or slow.is_set()
        posted.set()

    feed = Feed(Slow(), post)
    feed.start()
    assert posted.wait(20)
    slow.set()
    feed.stop()


def test_a_farm_that_takes_long_to_read_is_read_more_rarely() -> None:
    pace = ReadPace()
    assert pace.left_s == 0
    pace.was_read(spent_s=0.001)
    assert 0.9 < pace.left_s <= READ_S
    pace.happened()
    assert 0.1 < pace.left_s <= 0.2
    pace.was_read(spent_s=0.05)
    pace.happened()
    assert 2 < pace.left_s <= 2.5, "2 % of a core"


def test_what_is_shown_is_hardly_older_however_long_reading_takes() -> None:
    pace = ReadPace()
    pace.was_read(60.0)
    pace.happened()
    assert pace.left_s <= LONGEST_PAUSE_S


def test_a_broken_plotman_yaml_is_reported_and_does_not_end_the_feed() -> None:
    class Wrong(Busy):
        def read(self) -> FarmState:
            raise ConfigError("plotman.yaml is wrong.")

    messages: list[Message] = []
    twice = threading.Event()

    def post(message: Message) -> None:
        if not isinstance(message, EventsRead):
            messages.append(message)
        if len(messages) == 2:
            twice.set()

    feed = Feed(Wrong(), post)
    feed.start()
    assert twice.wait(20)
    feed.stop()
    assert all(isinstance(message, BrokerLost) and "is wrong" in message.error for message in messages)


def test_any_error_is_an_outage_with_a_line_in_the_log_and_does_not_end_the_feed(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Odd(Busy):
        def read(self) -> FarmState:
            if len(messages) < 2:
                raise RecursionError("odd\x1b[2J")
            return super().read()

    monkeypatch.setattr(module, "_RETRY_S", 0.01)
    messages: list[Message] = []
    feed = Feed(Odd(), lambda message: isinstance(message, EventsRead) or messages.append(message))
    feed.read_now()
    feed.start()
    eventually(lambda: len(messages) > 2, "it is read again")
    feed.stop()
    *lost, read = messages[:3]
    assert [type(message) for message in lost] == [BrokerLost, BrokerLost]
    assert isinstance(lost[0], BrokerLost)
    assert lost[0].error == "The farm cannot be read: RecursionError: odd\\x1b[2J"
    assert isinstance(read, FarmRead)
    assert [record.levelname for record in caplog.records] == ["ERROR"], "not at each attempt"


async def test_a_busy_log_is_read_twice_in_three_seconds(shown: Shown) -> None:
    class Endless(Recorder):
        def __call__(self, questions: Sequence[TaskCall], *, timeout_s: float) -> list[Any]:
            asked.append(time.monotonic())
            assert 0 < questions[0].kwargs["lines"] <= 300
            return [{"text": "line\n", "offset_bytes": 5, "skipped_bytes": 4_100_000, "ended": False}]

    asked: list[float] = []
    async with shown(showcase.small(), asker=Endless()) as pilot:
        await pilot.press("1", "enter")
        await until(pilot, lambda: isinstance(dashboard(pilot).screen, Details))
        await until(pilot, lambda: len(asked) >= 4)
        assert "4.1 MB left out" in screen(pilot)
    assert asked[3] - asked[0] >= 4.5


async def test_tables_below_the_details_are_drawn_when_they_are_seen_again(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_screens: list[Compositor] = []
    draw = Compositor.render_full_update
    log = {"text": "line\n", "offset_bytes": 5, "ended": True}
    source = Recorded(showcase.small())
    async with shown(source, asker=Recorder({names.LOG: log})) as pilot:
        main = dashboard(pilot).main
        await pilot.press("1", "enter")
        await until(pilot, lambda: pilot.app.screen is not main)
        await settle(pilot)
        monkeypatch.setattr(
            Compositor, "render_full_update", lambda self, **_: (whole_screens.append(self), draw(self))[1]
        )
        p1 = source.farm.plotters["p1"]
        for jobs in (2, 1, 0):
            source.change(plotters={"p1": p1.model_copy(update={"jobs": p1.jobs[:jobs]})})
            await until(pilot, lambda: main.farm is source.farm)
            await settle(pilot)
        assert whole_screens == []
        await pilot.press("escape")
        await until(pilot, lambda: "Plots 0" in screen(pilot))


@pytest.mark.parametrize(
    "keys", [("question_mark",), ("n",), ("b",), ("1", "x")], ids=["help", "notes", "field", "kill"]
)
async def test_tables_and_clock_behind_a_dialog_go_on(shown: Shown, keys: tuple[str, ...]) -> None:
    source = Recorded(showcase.small())
    async with shown(source, (160, 50), asker=Recorder({names.FILES: {"files": []}})) as pilot:
        main = dashboard(pilot).main
        await pilot.press(*keys)
        await until(pilot, lambda: pilot.app.screen is not main)
        assert "12:00:00" in screen(pilot)
        p1 = source.farm.plotters["p1"]
        for jobs, clock in ((2, "12:00:07"), (0, "12:00:14")):
            source.change(
                at=source.farm.at + timedelta(seconds=7),
                plotters={"p1": p1.model_copy(update={"jobs": p1.jobs[:jobs]})},
            )
            await until(pilot, lambda j=jobs, c=clock: f"Plots {j}" in screen(pilot) and c in screen(pilot))
        assert pilot.app.screen is not main


async def test_a_change_behind_a_dialog_is_drawn_once(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[object] = []
    display = App._display
    source = Recorded(showcase.small())
    async with shown(source, (160, 50)) as pilot:
        main = dashboard(pilot).main
        await pilot.press("question_mark")
        await until(pilot, lambda: pilot.app.screen is not main)
        p1 = source.farm.plotters["p1"]
        source.change(plotters={"p1": p1.model_copy(update={"jobs": p1.jobs[:2]})})
        await until(pilot, lambda: "Plots 2" in screen(pilot))
        await settle(pilot)
        monkeypatch.setattr(
            App, "_display", lambda self, on, what: (drawn.append(what), display(self, on, what))[1]
        )
        for _ in range(10):  # messages that change nothing
            main.on_events_read(EventsRead([]))
            main.check_idle()
            await settle(pilot)
        assert len(drawn) <= 1


async def test_the_details_behind_a_question_go_on(shown: Shown) -> None:
    source = Recorded(showcase.small())
    answers = {names.FILES: {"files": []}, names.LOG: {"text": "", "offset_bytes": 0, "ended": True}}
    async with shown(source, (160, 50), asker=Recorder(answers)) as pilot:
        await pilot.press("1", "down", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, Details))
        await pilot.press("x")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        p1 = source.farm.plotters["p1"]
        source.change(plotters={"p1": p1.model_copy(update={"jobs": ()})})
        await until(pilot, lambda: "is no longer running" in screen(pilot))
        assert isinstance(pilot.app.screen, ConfirmDialog)


async def test_a_log_follows_its_end_until_it_is_scrolled_up(shown: Shown) -> None:
    log = {"text": "", "offset_bytes": 0, "ended": True}
    async with shown(showcase.small(), asker=Recorder({names.LOG: log})) as pilot:
        await pilot.press("1", "enter")
        await until(pilot, lambda: "has ended" in screen(pilot))
        plot_log = pilot.app.screen.query_one(PlotLog)
        lines = (f"line {number:06}\n" for number in itertools.count())

        def write(count: int) -> None:
            plot_log.write("".join(itertools.islice(lines, count)))

        write(4990)
        await until(pilot, lambda: "line 004989" in screen(pilot))
        await pilot.press("pageup", "up")
        await settle(pilot)
        assert "line 004989" not in screen(pilot)
        read = top_line(pilot)
        for _ in range(3):
            write(300)  # drops as many: the log keeps 5000
            await settle(pilot)
            assert top_line(pilot) == read
        await pilot.press("end")
        await until(pilot, lambda: "line 005889" in screen(pilot))
        write(300)
        await until(pilot, lambda: "line 006189" in screen(pilot))


def top_line(pilot: Pilot[None]) -> str:
    return next(line for line in screen(pilot).splitlines() if "line 0" in line)
