"""A dashboard that shows a recorded farm, in a terminal of any size."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from textual._context import visible_screen_stack
from textual.pilot import Pilot
from textual.widgets import Footer

from plotman.control.farm import FarmState
from plotman.dashboard.app import Dashboard
from tests.support.showcase import Recorded, Recorder

Shown = Callable[..., AbstractAsyncContextManager[Pilot[None]]]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run tests that are coroutines: a dashboard needs an event loop."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = pyfuncitem._fixtureinfo.argnames
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted}))
    return True


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log shows local times; the tests expect UTC."""
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("NO_COLOR", raising=False)
    time.tzset()


@pytest.fixture
def shown() -> Shown:
    """`async with shown(farm, (80, 24)) as pilot`: starts when the farm is on the screen."""

    @asynccontextmanager
    async def show(
        farm: FarmState | Recorded, size: tuple[int, int] = (120, 40), asker: Recorder | None = None
    ) -> AsyncIterator[Pilot[None]]:
        source = farm if isinstance(farm, Recorded) else Recorded(farm)
        app = Dashboard(source, asker or Recorder())
        async with app.run_test(size=size, notifications=True) as pilot:
            await until(pilot, lambda: app.main.farm is not None or source.error is not None)
            await until(pilot, lambda: complete(app))
            await settle(pilot)
            yield pilot

    return show


def complete(app: Dashboard) -> bool:
    """Whether the screen has what Textual draws last: the footer's keys, and the end of the log."""
    footer, log = app.main.query_one(Footer), app.main.log_pane
    keys = not footer.display or len(footer.children) > 0
    return keys and (not log.display or log.scroll_offset.y >= log.max_scroll_y)


async def until(pilot: Pilot[None], condition: Callable[[], object], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"timed out; the screen:\n{screen(pilot)}"
        await pilot.pause(0.02)


async def settle(pilot: Pilot[None]) -> None:
    """Wait until the screen does not change any more."""
    before = ""
    while (now := screen(pilot)) != before:
        before = now
        await pilot.pause(0.05)
        await pilot.pause(0)  # on a busy machine Textual may have done nothing in the pause


def dashboard(pilot: Pilot[None]) -> Dashboard:
    app = pilot.app
    assert isinstance(app, Dashboard)
    return app


def screen(pilot: Pilot[None]) -> str:
    """The screen as text, with what is behind a dialog."""
    visible_screen_stack.set(pilot.app._background_screens)  # as Textual does before it draws
    strips = pilot.app.screen._compositor.render_strips()
    return "".join("".join(part.text for part in strip).rstrip() + "\n" for strip in strips)
