"""Notices leave the tables in view: one for each order, at most two at a time."""

from __future__ import annotations

import threading

import pytest
from textual.pilot import Pilot
from textual.widgets._toast import Toast

from common import names
from tests.support import showcase
from tests.support.showcase import Recorder
from tests.unit.plotman.dashboard.conftest import Shown, screen, settle, until

SIZES = [((200, 50), 2), ((80, 24), 2), ((40, 10), 1)]


@pytest.mark.parametrize(("size", "most"), SIZES, ids=["200x50", "80x24", "40x10"])
async def test_many_orders_leave_the_screen_free(shown: Shown, size: tuple[int, int], most: int) -> None:
    asker = Recorder({names.PAUSE: "p1 pauses", names.UNPAUSE: "p1 plots"})
    async with shown(showcase.small(), size, asker) as pilot:
        await pilot.press("right_square_bracket")
        for number in range(1, 6):
            await pilot.press("p")
            await until(pilot, lambda number=number: len(asker.asked) == number)
            await settle(pilot)
            assert len(toasts(pilot)) <= most
        assert len(toasts(pilot)) == most
        assert sum(toast.outer_size.height for toast in toasts(pilot)) <= 2 * most


async def test_the_answer_replaces_the_notice_of_its_order(shown: Shown) -> None:
    answered = threading.Event()

    def answer() -> str:
        assert answered.wait(10)
        return "p1 starts no more plots"

    async with shown(showcase.small(), asker=Recorder({names.PAUSE: answer})) as pilot:
        await pilot.press("right_square_bracket", "p")
        await until(pilot, lambda: "pause plotting on p1 ..." in screen(pilot))
        answered.set()
        await until(pilot, lambda: "p1 starts no more plots" in screen(pilot))
        await settle(pilot)
        assert "pause plotting on p1 ..." not in screen(pilot)
        assert len(toasts(pilot)) == 1


def toasts(pilot: Pilot[None]) -> list[Toast]:
    return list(pilot.app.screen.query(Toast))
