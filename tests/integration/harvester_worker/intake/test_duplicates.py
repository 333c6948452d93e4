"""A plot that went to another drive leaves a part behind: its room is given back, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harvester_worker.drives import digests, part_files
from harvester_worker.drives.digests import DigestEntry
from harvester_worker.drives.plot_index import PlotIndex
from harvester_worker.intake.reserve import ReserveOrder
from harvester_worker.intake.resume import drop_superseded

NAME = f"plot-k18-2026-11-22-15-48-{1:064x}.plot"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    path = tmp_path / "elsewhere"
    path.mkdir()
    return path


def test_a_part_goes_once_its_plot_is_complete_on_another_drive(
    farm: Callable[..., Any], drive: Path, elsewhere: Path
) -> None:
    harvester, landed = farm(drive, elsewhere), PlotIndex()
    order = ReserveOrder(host="h", source_host="p", path=f"/dst/{NAME}", size_bytes=100_000)
    part = Path(harvester.reserver.reserve(order).part)

    def look() -> bool:
        """Whether the part is still there after one more look."""
        drop_superseded(harvester.drives, landed, harvester.drives.refresh())
        return part.exists()

    assert look(), "it is on its way"
    landed.put(f"{1:064x}", str(elsewhere))
    assert look(), "it was about to be taken in, and is not there"
    (elsewhere / NAME).write_bytes(b"plot")
    assert look(), "the harvester did not take that file in"
    part_files.prepare(str(elsewhere))
    digests.write(str(elsewhere), NAME, DigestEntry.of(elsewhere / NAME, "0" * 32))
    with part.open("ab"):
        assert look(), "somebody still writes it"
    assert not look()
    assert (elsewhere / NAME).exists()
    assert not list(drive.glob(".incoming/*.json"))
