"""A screen can be closed at any moment: while text arrives, and by a key that is typed twice."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from textual import events
from textual.command import CommandPalette
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Log

from common import names
from plotman.control.rpc import TaskCall
from plotman.dashboard.app import Dashboard
from plotman.dashboard.details import Details
from plotman.dashboard.dialogs import ConfirmDialog, InputDialog, TextDialog
from tests.support import showcase
from tests.support.showcase import Recorded, Recorder
from tests.unit.plotman.dashboard.conftest import Shown, dashboard, screen, until

ROUNDS = 30


class Chatty(Recorder):
    """A host whose plot writes to its log every few milliseconds."""

    def __call__(self, questions: Sequence[TaskCall], *, timeout_s: float) -> list[Any]:
        self._never.wait(0.002)
        text = f"line {next(self._numbers)}\n" * 20
        return [{"text": text, "offset_bytes": 1, "ended": False} for _ in questions]

    _numbers = itertools.count()
    _never = threading.Event()


async def test_details_close_while_the_log_arrives(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plotman.dashboard.details._PACE_S", 0.0)
    source = Recorded(showcase.small())
    async with shown(source, asker=Chatty()) as pilot:
        app = dashboard(pilot)
        await pilot.press("1", "down")
        for _ in range(ROUNDS):
            typed(pilot, "enter")
            await until(pilot, lambda: isinstance(app.screen, Details))
            await until(pilot, lambda: any(log.line_count for log in app.screen.query(Log)))
            source.changed.set()
            typed(pilot, "escape")
            await until(pilot, lambda: not isinstance(app.screen, Details))
            assert app.is_running
        await until(pilot, lambda: "Plots 3" in screen(pilot))


async def test_details_of_a_plot_that_has_ended_are_drawn_after_a_batch(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The footer makes its keys anew in a batch, in which nothing is drawn."""
    drawn: list[bool] = []
    monkeypatch.setattr(Dashboard, "_display", lambda app, *_: drawn.append(not app._batch_count))
    source = Recorded(showcase.small())
    async with shown(source, (80, 24)) as pilot:
        app = dashboard(pilot)
        await pilot.press("1", "down")
        with app.batch_update():
            typed(pilot, "enter")
            await until(pilot, lambda: isinstance(app.screen, Details))
            source.change(plotters={"p1": source.farm.plotters["p1"].model_copy(update={"jobs": ()})})
            await until(pilot, lambda: complete(app.screen))
            drawn.clear()
        async with asyncio.timeout(10):
            while not any(drawn):
                await asyncio.sleep(0.02)  # `pilot.pause` would draw


def complete(screen: Screen[Any]) -> bool:
    """Whether the details show that the plot has ended, and nothing more will come."""
    return isinstance(screen, Details) and "no longer" in screen._shown and screen._log.line_count > 0


@pytest.mark.parametrize(
    ("opens", "window", "leaves"),
    [
        (("1", "enter"), Details, "escape"),
        (("question_mark",), TextDialog, "escape"),
        (("n",), TextDialog, "enter"),
        (("b",), InputDialog, "escape"),
        (("b",), InputDialog, "enter"),
        (("1", "x"), ConfirmDialog, "n"),
        (("1", "x"), ConfirmDialog, "escape"),
        (("1", "x"), ConfirmDialog, "y"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else getattr(value, "__name__", value),
)
async def test_a_key_that_is_typed_too_often_closes_one_screen_only(
    shown: Shown, opens: tuple[str, ...], window: type, leaves: str
) -> None:
    log = {"text": "line", "offset_bytes": 4, "ended": True}
    asker = Recorder({names.LOG: log, names.FILES: {"files": []}, names.KILL: {"freed_bytes": 5}})
    async with shown(showcase.small(), asker=asker) as pilot:
        app = dashboard(pilot)
        await pilot.press(*opens)
        await until(pilot, lambda: isinstance(app.screen, window))
        typed(pilot, *[leaves] * 5)
        await until(pilot, lambda: app.screen is app.main)
        await pilot.pause()
        assert app.is_running
    assert sum(task == names.KILL for task, _, _ in asker.said()) == (leaves == "y")


async def test_the_command_palette_is_left_while_it_fills(shown: Shown) -> None:
    async with shown(showcase.small()) as pilot:
        app = dashboard(pilot)
        app.action_command_palette()
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        palette: Any = app.screen
        await palette.query("*").remove()
        palette._list_visible = not palette._list_visible  # as its worker does, which may come late
        await pilot.pause()
        assert app.is_running


def typed(pilot: Pilot[None], *keys: str) -> None:
    """Post keys together, before any of them has an effect."""
    for key in keys:
        pilot.app.post_message(events.Key(key, key if len(key) == 1 else None))
