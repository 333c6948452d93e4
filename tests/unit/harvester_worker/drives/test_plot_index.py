"""Which drive took a plot in, remembered beyond a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from harvester_worker.drives.plot_index import _KEPT, PlotIndex


def test_the_index_survives_a_restart_and_the_last_drive_counts(tmp_path: Path) -> None:
    file = tmp_path / "new" / "state" / "landed.json"
    landed = PlotIndex(file)
    landed.put("a", "/farm/1")
    landed.put("b", "/farm/1")
    landed.put("a", "/farm/2")
    assert [PlotIndex(file).drive_of(plot) for plot in "abc"] == ["/farm/2", "/farm/1", None]


def test_an_entry_that_could_not_be_written_is_unknown_at_the_next_try(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.write_text("in the way")
    landed = PlotIndex(folder / "landed.json")
    for _ in range(2):
        with pytest.raises(OSError):
            landed.put("a", "/farm/1")
    assert landed.drive_of("a") is None
    folder.unlink()
    landed.put("a", "/farm/1")
    assert PlotIndex(folder / "landed.json").drive_of("a") == "/farm/1"


def test_the_oldest_are_forgotten() -> None:
    landed = PlotIndex()
    for number in range(_KEPT + 1):
        landed.put(str(number), "/farm/1")
    assert landed.drive_of("0") is None
    assert landed.drive_of("1") == "/farm/1"


def test_the_latest_are_named_in_their_order() -> None:
    landed = PlotIndex()
    assert landed.latest(2) == ()
    for plot in "abca":
        landed.put(plot, "/farm/1" if plot != "a" else f"/farm/{len(landed.latest(9))}")
    assert landed.latest(2) == ("c", "a")
