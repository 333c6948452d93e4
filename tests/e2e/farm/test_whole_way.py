"""Two plotters, two harvesters of three drives each, on machines of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.machines import Machines
from tests.support.proofs import prove
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
