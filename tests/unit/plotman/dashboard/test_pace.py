"""Limits on how often a busy farm is read and drawn."""

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
from plotman.dashboard.feed import BrokerLost, FarmRead, Feed
from tests.support import showcase
from tests.support.showcase import Recorder
from tests.unit.plotman.dashboard.conftest import Shown, dashboard, until


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


async def test_a_busy_log_is_read_once_a_second(shown: Shown) -> None:
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
