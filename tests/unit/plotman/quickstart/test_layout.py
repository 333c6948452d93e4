from __future__ import annotations

from pathlib import Path

from plotman.quickstart.layout import Layout


def test_a_farm_has_two_tmp_two_dst_and_four_drives(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "farm")
    layout.create()
    layout.create()
    found = sorted(str(path.relative_to(layout.root)) for path in layout.root.glob("*/?"))
    assert found == [
        *(f"drives/{number}" for number in (1, 2, 3, 4)),
        *(f"{kind}/{number}" for kind in ("dst", "tmp") for number in (1, 2)),
    ]
