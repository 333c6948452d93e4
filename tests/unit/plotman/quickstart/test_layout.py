from __future__ import annotations

from pathlib import Path

from plotman.quickstart.layout import Layout, plots_in

ID = "6b4e7375" * 8


def test_a_farm_has_two_tmp_two_dst_and_four_drives(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "farm")
    layout.create()
    layout.create()
    found = sorted(str(path.relative_to(layout.root)) for path in layout.root.glob("*/?"))
    assert found == [
        *(f"drives/{number}" for number in (1, 2, 3, 4)),
        *(f"{kind}/{number}" for kind in ("dst", "tmp") for number in (1, 2)),
    ]


def test_only_whole_plots_count(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.create()
    plot = layout.drives[2] / f"plot-k18-2026-11-22-12-00-{ID}.plot"
    plot.touch()
    (layout.drives[0] / f"plot-k18-2026-11-22-12-00-{'0' * 64}.plot.tmp").touch()
    (layout.drives[0] / "plot-of-land.plot").touch()
    assert plots_in((*layout.drives, tmp_path / "gone")) == {ID: plot}
