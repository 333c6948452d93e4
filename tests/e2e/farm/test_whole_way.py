"""Two plotters, two harvesters of three drives each, on machines of their own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support import formats
from tests.support.groups import make_packed
from tests.support.machines import Machines
from tests.support.proofs import farmed, prove
from tests.support.waiting import eventually
from tests.support.watch import Watch


def build(farm: Machines) -> None:
    farm.add_scheduler()
    for name in ("p1", "p2"):
        farm.add_plotter(name)
    for name in ("h1", "h2"):
        farm.add_harvester(name, drives=3)


@pytest.mark.timeout(400)
def test_twelve_plots_of_two_plotters_end_proved_on_the_drives_of_two_harvesters(
    machines: Machines, watch: Watch, chia: Path
) -> None:
    for name in machines.plotters:
        machines.more(name, 6)
    eventually(
        lambda: len(watch.on_drives()) == 12 and not watch.at_home(), "twelve plots on the drives", 170
    )
    for harvester in machines.harvesters.values():
        plots = [(drive, name) for drive in harvester.drives for name in harvester.plots(drive)]
        assert plots, f"{harvester.name} took its share"
        for drive, name in plots:
            assert prove(chia, harvester.host.seen(harvester.drives[drive] / name))
    eventually(lambda: not machines.moves(), "nothing is under way any more")
    assert not [part for harvester in machines.harvesters.values() for part in harvester.parts()]
    for plotter in machines.plotters.values():
        assert not list(plotter.host.seen(plotter.dst).glob("*.plot")), "the sources are deleted"
        assert len(list(plotter.logs.glob("*.plot.log"))) == 6, "exactly the plots asked for were started"
        assert not [file for tmp in plotter.tmp for file in plotter.host.seen(tmp).glob("*.tmp")]


@pytest.mark.timeout(300)
def test_plot_groups_of_one_and_of_several_plots_end_proved_on_the_drives_of_another_machine(
    machines: Machines, watch: Watch, tmp_path: Path
) -> None:
    groups = [
        formats.make_group(tmp_path),
        formats.make_group(tmp_path, 20),
        make_packed(tmp_path, members=4),
    ]
    plotter = machines.plotters["p1"]
    dst = plotter.host.seen(plotter.dst)
    for group in groups:
        shutil.copy(group, dst / "being-written")
        (dst / "being-written").rename(dst / group.name)
    drives = [
        harvester.host.seen(drive)
        for harvester in machines.harvesters.values()
        for drive in harvester.drives.values()
    ]

    def landed() -> dict[str, Path]:
        return {path.name: path for drive in drives for path in drive.glob("*.gplot")}

    eventually(
        lambda: landed().keys() == {group.name for group in groups} and not list(dst.glob("*.gplot")),
        "the groups are on drives, and only there",
        120,
    )
    assert [farmed(landed()[group.name]) for group in groups] == [{0}, {0}, {0, 1, 2, 3}]
    told = [event.text for event in machines.events("archived") if ".gplot" in event.text]
    assert len(told) == len(groups)
    assert all("all valid" in text for text in told)
