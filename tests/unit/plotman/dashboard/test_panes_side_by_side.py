"""Panes that share a line, while their texts change."""

from __future__ import annotations

from dataclasses import replace

from plotman.dashboard.app import Dashboard
from plotman.dashboard.model import Cell
from tests.support import showcase
from tests.unit.plotman.dashboard.conftest import Shown


async def test_a_pane_whose_texts_become_shorter_keeps_its_columns_in_other_room(shown: Shown) -> None:
    async with shown(showcase.troubled(), (200, 50)) as pilot:
        assert isinstance(pilot.app, Dashboard)
        grid = pilot.app.main.grid("machines")
        wanted = grid.wanted_columns
        short = tuple(row._replace(cells=(*row.cells[:-1], Cell("up"))) for row in grid.table.rows)
        grid.show(replace(grid.table, rows=short))
        grid.on_resize()
        assert grid.wanted_columns == wanted, "it would swap columns with its neighbour at each change"
