"""The filter, as the screen shows it."""

from __future__ import annotations

import pytest

from tests.support import showcase
from tests.unit.plotman.dashboard.conftest import Shown, screen, settle, until

SIZES = [(200, 50), (80, 24), (40, 10)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_the_filter_is_shown_while_it_is_typed_and_while_it_is_active(
    shown: Shown, size: tuple[int, int]
) -> None:
    async with shown(showcase.troubled(), size) as pilot:
        await pilot.press("1", "slash")
        await until(pilot, lambda: "Filter: " in screen(pilot))
        assert "words; Enter keeps them" in line_of("Filter: ", screen(pilot))

        await pilot.press(*"p2")
        await until(pilot, lambda: "Filter: p2" in screen(pilot))
        lines = screen(pilot).splitlines()
        at = lines.index(line_of("Filter: ", screen(pilot)))
        below = lines[at + 1 :]
        assert len(below) == (0 if size == (40, 10) else 1)  # the footer, where there is one

        await pilot.press("enter")
        await until(pilot, lambda: "Filter: " not in screen(pilot))
        await settle(pilot)
        header, _, table = screen(pilot).partition("1 plots")
        assert "Esc ends the filter: p2" in header
        assert showcase.plot_id(6)[:8] in table
        assert showcase.plot_id(1)[:8] not in table

        await pilot.press("escape")
        await until(pilot, lambda: "Esc ends the filter" not in screen(pilot))
        await until(pilot, lambda: showcase.plot_id(7)[:8] in screen(pilot))


async def test_an_empty_filter_is_none(shown: Shown) -> None:
    async with shown(showcase.troubled(), (80, 24)) as pilot:
        await pilot.press("slash", "space", "enter")
        await until(pilot, lambda: "Filter: " not in screen(pilot))
        assert "Esc ends the filter" not in screen(pilot)


async def test_a_long_filter_does_not_hide_the_key_that_ends_it(shown: Shown) -> None:
    async with shown(showcase.troubled(), (40, 10)) as pilot:
        await pilot.press("slash", *"a-name-that-is-much-longer-than-this-screen", "enter")
        await until(pilot, lambda: "Esc ends the filter: a-name" in screen(pilot))
        assert all(len(line) <= 40 for line in screen(pilot).splitlines())


def line_of(text: str, shown: str) -> str:
    return next(line for line in shown.splitlines() if text in line)
