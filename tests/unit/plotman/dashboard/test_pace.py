"""Limits on how often a busy farm is read and drawn."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from textual._compositor import Compositor
from textual.message import Message
from textual.pilot import Pilot

from common import names
from common.errors import ConfigError
from common.model.snapshot import Event
from plotman.control.farm import FarmState
from plotman.control.rpc import TaskCall
from plotman.dashboard import feed as module
from plotman.dashboard.details import Details, PlotLog
from plotman.dashboard.feed import BrokerLost, FarmRead, Feed
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
        assert isinstance(message, FarmRead)
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


def test_a_broken_plotman_yaml_is_reported_and_does_not_end_the_feed() -> None:
    class Wrong(Busy):
        def read(self) -> FarmState:
            raise ConfigError("plotman.yaml is wrong.")

    messages: list[Message] = []
    twice = threading.Event()

    def post(message: Message) -> None:
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
    feed = Feed(Odd(), messages.append)
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


@pytest.mark.parametrize(
    "keys", [("1", "enter"), ("question_mark",), ("ctrl+p",)], ids=["details", "help", "palette"]
)
async def test_tables_below_another_screen_are_drawn_when_they_are_seen_again(
    shown: Shown, monkeypatch: pytest.MonkeyPatch, keys: tuple[str, ...]
) -> None:
    whole_screens: list[Compositor] = []
    draw = Compositor.render_full_update
    log = {"text": "line\n", "offset_bytes": 5, "ended": True}
    source = Recorded(showcase.small())
    async with shown(source, asker=Recorder({names.LOG: log})) as pilot:
        main = dashboard(pilot).main
        await pilot.press(*keys)
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
