"""The screen for each size and view, compared with golden files that were reviewed by eye.

Text, not pictures: it does not depend on the version of Textual or the terminal, and its diff can be read.
UPDATE_GOLDEN=1 rewrites the files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common import names
from plotman.control.farm import FarmState
from tests.support import showcase
from tests.support.golden import golden
from tests.support.showcase import GB, Recorded, Recorder
from tests.unit.plotman.dashboard.conftest import Shown, screen, settle, until

GOLDEN = Path(__file__).parent / "golden"
SIZES = [(40, 10), (80, 24), (120, 40), (200, 50)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_a_farm_with_problems_at_each_size(shown: Shown, size: tuple[int, int]) -> None:
    async with shown(showcase.troubled(), size) as pilot:
        golden(f"troubled-{size[0]}x{size[1]}.txt", screen(pilot), GOLDEN)


async def test_each_table_alone_on_80x24(shown: Shown) -> None:
    async with shown(showcase.troubled(), (80, 24)) as pilot:
        for number in range(2, 10):
            await pilot.press(str(number))
            await settle(pilot)
            golden(f"pane-{number}-80x24.txt", screen(pilot), GOLDEN)


async def test_one_machine_alone_has_no_column_of_hosts(shown: Shown) -> None:
    async with shown(showcase.troubled(), (120, 40)) as pilot:
        await pilot.press("right_square_bracket", "right_square_bracket")
        await settle(pilot)
        golden("host-120x40.txt", screen(pilot), GOLDEN)


async def test_the_keys_are_explained(shown: Shown) -> None:
    async with shown(showcase.small(), (80, 24)) as pilot:
        await pilot.press("question_mark")
        await until(pilot, lambda: "Keys  (Esc" in screen(pilot))
        await settle(pilot)
        golden("help-80x24.txt", screen(pilot), GOLDEN)


@pytest.mark.parametrize("size", [(40, 10), (80, 24)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_the_question_before_a_kill_shows_files_and_buttons(
    shown: Shown, size: tuple[int, int]
) -> None:
    asker = Recorder({names.FILES: files_of_a_plot(60)})
    async with shown(showcase.small(), size, asker) as pilot:
        await pilot.press("1", "down", "x")
        await until(pilot, lambda: "No (n)" in screen(pilot))
        await settle(pilot)
        golden(f"kill-{size[0]}x{size[1]}.txt", screen(pilot), GOLDEN)


async def test_the_details_of_a_plot_have_its_log(shown: Shown) -> None:
    said = {"text": "Starting plotting\nComputing table 1\n", "offset_bytes": 36, "ended": True}
    async with shown(showcase.small(), (100, 30), Recorder({names.LOG: said})) as pilot:
        await pilot.press("1", "down", "enter")
        await until(pilot, lambda: "has ended" in screen(pilot))
        await settle(pilot)
        golden("details-100x30.txt", screen(pilot), GOLDEN)


async def test_a_broker_that_never_answered_is_reported(shown: Shown) -> None:
    source = Recorded(showcase.small(), error="Redis at redis://x does not answer.")
    async with shown(source, (80, 24)) as pilot:
        await until(pilot, lambda: "NO BROKER, nothing is known yet" in screen(pilot))


async def test_a_large_farm_fills_a_large_screen(shown: Shown) -> None:
    async with shown(showcase.large(), (500, 150)) as pilot:
        text = screen(pilot)
    assert "Plots 500" in text
    assert "Drives 200" in text
    assert all(len(line) <= 500 for line in text.splitlines())
    assert len(text.splitlines()) == 150


def test_an_empty_farm_has_no_rows(farm_of_nothing: FarmState) -> None:
    from plotman.dashboard import headline, panes

    assert not any(table.rows for table in panes.all_tables(farm_of_nothing, None).values())
    assert "no plotter" in headline.status(farm_of_nothing)[0].text


@pytest.fixture
def farm_of_nothing() -> FarmState:
    return FarmState(showcase.T, {}, {}, {}, None, frozenset())


def files_of_a_plot(count: int) -> dict[str, Any]:
    name = f"plot-k32-2026-11-22-10-00-{showcase.plot_id(2)}.plot"
    files = [
        {"path": f"/mnt/tmp/0/{name}.p1.{number}.tmp", "size_bytes": GB, "allocated_bytes": GB}
        for number in range(count)
    ]
    return {"host": "p1", "files": files, "finished": [], "troubles": []}
