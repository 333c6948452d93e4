"""What changes without end is shown at a pace that costs little."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from textual.message import Message

from common.errors import ConfigError
from common.model.snapshot import Event
from plotman.control.farm import FarmState
from plotman.control.rpc import TaskCall
from plotman.dashboard.details import Details
from plotman.dashboard.feed import Away, Feed, Seen
from tests.support import showcase
from tests.support.showcase import Recorder
from tests.unit.plotman.dashboard.conftest import Shown, dashboard, until


class Busy:
    """A farm in which something happens all the time."""

    def __init__(self) -> None:
        self.told = 0

    def look(self) -> FarmState:
        return showcase.small()

    def events(self, after: str | None, wait_s: float) -> list[tuple[str, Event]]:
        self.told += 1
        return [(f"{self.told}-0", showcase.event(1, "archived", "p1", f"event {self.told}"))]


def test_events_without_end_are_looked_at_once_a_second() -> None:
    looks: list[float] = []
    enough = threading.Event()

    def post(message: Message) -> None:
        assert isinstance(message, Seen)
        looks.append(time.monotonic())
        if len(looks) == 6:
            enough.set()

    feed = Feed(Busy(), post)
    feed.start()
    assert enough.wait(20)
    feed.stop()
    pauses = [after - before for before, after in pairwise(looks)]
    assert pauses[-1] >= 1.0
    assert sum(pauses) >= 3.5


def test_a_plotman_yaml_that_is_wrong_meanwhile_is_told_and_does_not_end_the_feed() -> None:
    class Wrong(Busy):
        def look(self) -> FarmState:
            raise ConfigError("plotman.yaml is wrong.")

    told: list[Message] = []
    twice = threading.Event()

    def post(message: Message) -> None:
        told.append(message)
        if len(told) == 2:
            twice.set()

    feed = Feed(Wrong(), post)
    feed.start()
    assert twice.wait(20)
    feed.stop()
    assert all(isinstance(message, Away) and "is wrong" in message.error for message in told)


async def test_a_log_that_is_written_without_end_is_asked_for_once_a_second(shown: Shown) -> None:
    class Endless(Recorder):
        def __call__(self, questions: Sequence[TaskCall], *, timeout_s: float) -> list[Any]:
            asked.append(time.monotonic())
            return [{"text": "line\n", "offset_bytes": 5, "ended": False}]

    asked: list[float] = []
    async with shown(showcase.small(), asker=Endless()) as pilot:
        await pilot.press("1", "enter")
        await until(pilot, lambda: isinstance(dashboard(pilot).screen, Details))
        await until(pilot, lambda: len(asked) >= 4)
    assert asked[3] - asked[0] >= 3.0
