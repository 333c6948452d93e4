"""Plots flow, random faults strike, the promises hold."""

from __future__ import annotations

import random
import secrets
import time

import pytest

from tests.e2e.farm.chaos import Chaos
from tests.e2e.farm.help import delivered
from tests.support.machines import MB, Machines
from tests.support.waiting import eventually
from tests.support.watch import Watch

DRIVES, DRIVE_BYTES = 3, 128 * MB
OWN_BYTES = 24 * MB
FULL = 100  # plots on the drives; then the farmer makes room


def build(farm: Machines) -> None:
    farm.add_scheduler()
    farm.add_scheduler("hub2")
    for name in ("p1", "p2"):
        farm.add_plotter(name, own_bytes=OWN_BYTES)
    for name in ("h1", "h2"):
        farm.add_harvester(name, drives=DRIVES, drive_bytes=DRIVE_BYTES, own_bytes=OWN_BYTES)


def make_room(machines: Machines, watch: Watch) -> int:
    """Take plots off the drives as a farmer would who buys no more of them; how many."""
    taken = 0
    for plot, places in list(watch.on_drives().items())[: FULL // 2]:
        if plot in watch.at_home() or len(places) != 1:
            continue
        (place,) = places
        host = machines.harvesters[place.host].host
        watch.forget(plot)
        for file in host.seen(place.folder).glob(f"*{plot}.plot"):
            file.unlink()
            taken += 1
    return taken


@pytest.mark.timeout(0)
def test_plots_flow_while_faults_strike_by_chance(
    machines: Machines, watch: Watch, request: pytest.FixtureRequest
) -> None:
    seed = request.config.getoption("--chaos-seed")
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    minutes = request.config.getoption("--chaos-minutes")
    print(f"\nchaos: {minutes} minutes, --chaos-seed {seed}", flush=True)
    dice = random.Random(seed)
    chaos = Chaos(machines, dice)
    ends = time.monotonic() + minutes * 60
    faults, sold = 0, 0
    while time.monotonic() < ends:
        machines.all_there(180)
        for name in machines.plotters:
            machines.more(name, dice.randint(1, 2))
        time.sleep(dice.uniform(0, 4))
        print(f"chaos: {chaos.strike()}", flush=True)
        faults += 1
        assert not watch.broken, watch.broken
        if len(watch.on_drives()) >= FULL:
            sold += make_room(machines, watch)
    machines.all_there(180)
    for name in machines.plotters:
        machines.more(name, 0)
        eventually(lambda name=name: not machines.jobs(name), "all plots come to their end", 90)
    plots = len(watch.known())
    delivered(machines, watch, plots, 480)
    started = sum(len(list(plotter.logs.glob("*.plot.log"))) for plotter in machines.plotters.values())
    print(
        f"chaos: {faults} faults; {started} plots started, {plots + sold} made, all of them on the drives "
        f"({sold} taken off since); {watch.looks} looks, no promise broken",
        flush=True,
    )
    assert plots + sold > 0
