"""A dashboard that stays open for weeks keeps nothing of the screens that were opened and closed."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.screen import Screen
from textual.scroll_view import ScrollView
from textual.widgets._footer import FooterKey

from common import names
from plotman.control.rpc import TaskCall
from plotman.dashboard.details import Details, PlotLog
from tests.support import showcase
from tests.support.showcase import Recorder
from tests.unit.plotman.dashboard.conftest import Shown, dashboard, screen, until

OPENED = 10  # times


class Slow(Recorder):
    """A host that answers a long poll when its time is over, or when `over` is set."""

    over = threading.Event()

    def __call__(self, questions: Sequence[TaskCall], *, timeout_s: float) -> list[Any]:
        wait_s = questions[0].kwargs.get("wait_s", 0.0)
        assert wait_s <= 5, "a thread would stay for too long after its screen"
        self.over.wait(wait_s)
        return [{"text": "line\n", "offset_bytes": 5, "ended": False} for _ in questions]


async def test_details_that_are_closed_leave_no_thread_and_no_object(shown: Shown) -> None:
    slow = Slow()
    async with shown(showcase.small(), asker=slow) as pilot:
        app = dashboard(pilot)
        await pilot.press("1", "down")
        screens: list[weakref.ref[Screen[Any]]] = []
        for _ in range(OPENED):
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, Details))
            screens.append(weakref.ref(app.screen))
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is app.main)
        slow.over.set()
        await until(pilot, lambda: "dashboard-log" not in {one.name for one in threading.enumerate()})
        await until(pilot, lambda: not any(one() for one in screens) or gc.collect() < 0)


async def test_the_footer_keeps_no_key_that_it_does_not_show(shown: Shown) -> None:
    log = {"text": "line", "offset_bytes": 4, "ended": True}
    async with shown(showcase.small(), asker=Recorder({names.LOG: log})) as pilot:
        await pilot.press("1", "down")
        before = await keys(pilot)
        for _ in range(OPENED):
            await pilot.press("enter", "escape", "slash", "a", "escape")
        assert before > 0
        assert await keys(pilot) <= 2 * before


async def keys(pilot: Pilot[None]) -> int:
    await pilot.pause(0.2)
    gc.collect()
    return sum(isinstance(one, FooterKey) for one in gc.get_objects())


async def test_a_burst_of_lines_is_drawn_once_and_its_end_is_kept(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked: list[int] = []
    monkeypatch.setattr(ScrollView, "refresh_lines", lambda *given, **_: marked.append(given[1]))
    text = "".join(f"line {number}\n" for number in range(20_000))
    log = {"text": text, "offset_bytes": 4, "ended": True}
    async with shown(showcase.small(), asker=Recorder({names.LOG: log})) as pilot:
        app = dashboard(pilot)
        await pilot.press("1", "enter")
        await until(pilot, lambda: "line 1999" in screen(pilot))
        assert app.screen.query_one(PlotLog).line_count <= 5000
    assert len(marked) < 100
