"""A plot under another name: what `plotman why` says of it, and what becomes of it once it is renamed."""

from __future__ import annotations

import shutil
from pathlib import Path

from common.model.plot_name import PlotName
from tests.support.farm import HOST, Farm
from tests.support.waiting import eventually


def test_why_names_the_plot_its_right_name_and_its_copy_on_a_drive_and_never_advises_to_delete_it(
    farm: Farm, real_plot: Path
) -> None:
    farm.configure(tmp=1, dst=1, drives=1)
    farm.allow(0)
    landed = Path(shutil.copy(real_plot, farm.folder / "drives" / "1"))
    copy = farm.folder / "dst" / "1" / f"{real_plot.stem} (copy).plot"
    shutil.copy2(real_plot, copy)
    farm.up()
    name = PlotName.parse(real_plot.name)
    assert name is not None

    eventually(lambda: farm.plotter().plots, "it is seen", 60)
    plot_id = name.plot_id[:8]
    said = eventually(lambda: _why(farm, plot_id, "on its drive already"), "it is explained", 30)
    assert f"{copy}: this is plot {plot_id} under another name; it should be called plot-k18-" in said
    assert f"{HOST}:{landed} has that id and is on its drive already" in said
    assert "It is a plot: keep it." in said
    assert "delete" not in said.lower()
    assert copy.exists()

    copy.rename(copy.with_name(real_plot.name))
    eventually(lambda: not copy.with_name(real_plot.name).exists(), "it is compared, and its source goes", 60)
    assert landed.read_bytes() == real_plot.read_bytes()


def _why(farm: Farm, plot: str, words: str) -> str | None:
    said = farm.run("why", plot).stdout
    return said if words in said else None
