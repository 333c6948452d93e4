from __future__ import annotations

from pathlib import Path

import pytest

from common.config import load
from common.names import Role
from plotman.quickstart.chia import Keys
from plotman.quickstart.settings import Layout, plotman_yaml, tuning

KEYS = Keys("a" * 96, "b" * 96)


@pytest.mark.parametrize("root", ["/srv/farm", "/srv/my farm: 'k18' #1"])
def test_the_file_loads_and_names_every_role(tmp_path: Path, root: str) -> None:
    layout = Layout(Path(root))
    file = tmp_path / "plotman.yaml"
    file.write_text(plotman_yaml(layout, Path(root) / "chia", KEYS, 20, 5566))
    config = load(file)
    assert config.roles == set(Role)
    assert config.runs_scheduler
    assert config.state_dir == layout.state
    assert config.directories is not None
    assert config.directories.tmp == tuple(map(str, layout.tmp))
    assert config.plotting is not None
    assert config.plotting.chiapos.k == 20
    assert config.plotting.chiapos.executable == f"{root}/chia"
    assert config.farm.flower_port == 5566


def test_the_limit_on_plots_counts_other_plotters_of_the_machine(tmp_path: Path) -> None:
    file = tmp_path / "plotman.yaml"
    file.write_text(plotman_yaml(Layout(Path("/srv/farm")), Path("/srv/chia"), KEYS, 18, 5566, others=3))
    scheduling = load(file).scheduling
    assert scheduling is not None
    assert scheduling.global_max_jobs == 5


@pytest.mark.parametrize(
    ("sizes", "stripes", "buckets"),
    [((18, 19, 20), 2000, 16), ((21, 22, 24), 65536, 16), ((25, 32), 65536, 128)],
)
def test_each_size_has_options_that_the_plotter_accepts(
    sizes: tuple[int, ...], stripes: int, buckets: int
) -> None:
    # As tried with chia 2.7.5: k18 with stripes of 65536 ends with "Stripe size too large".
    assert {(tuning(k).stripes, tuning(k).buckets) for k in sizes} == {(stripes, buckets)}


def test_a_farm_has_two_tmp_two_dst_and_four_drives(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "farm")
    layout.create()
    layout.create()
    found = sorted(str(path.relative_to(layout.root)) for path in layout.root.glob("*/?"))
    assert found == [
        *(f"drives/{number}" for number in (1, 2, 3, 4)),
        *(f"{kind}/{number}" for kind in ("dst", "tmp") for number in (1, 2)),
    ]
