"""On a plot's way to its drive each process and machine is killed, cut off or loses power."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from common.model.pending import MoveStep
from tests.e2e.farm.help import delivered, first_at, in_turn, sending, starts
from tests.support.drives import XFS_MIN_BYTES
from tests.support.lab import wait_for
from tests.support.machine import Machine
from tests.support.machines import MB, Machines
from tests.support.waiting import eventually
from tests.support.watch import Watch

pytestmark = pytest.mark.timeout(300)

BUFFER_BYTES = 40 * MB  # of p2: some seven plots
SLOW_MBIT_S = 5  # a k18 plot (4 MB) takes seven seconds


def build(farm: Machines) -> None:
    farm.add_scheduler()
    farm.add_plotter("p1")
    farm.add_plotter("p2", dst_bytes=BUFFER_BYTES)
    farm.add_harvester("h1", drives=2, drive_bytes=96 * MB)
    farm.add_harvester("h2", drives=2, drive_bytes=XFS_MIN_BYTES, kind="xfs")


@pytest.fixture
def slow(machines: Machines) -> Iterator[None]:
    """Plots leave their plotters slowly."""
    for plotter in machines.plotters.values():
        plotter.host.rate(SLOW_MBIT_S)
    yield
    for plotter in machines.plotters.values():
        plotter.host.rate(0)


def full_speed(machines: Machines) -> None:
    for plotter in machines.plotters.values():
        plotter.host.rate(0)


def test_the_network_of_a_plotter_is_cut_for_half_a_minute(
    machines: Machines, watch: Watch, slow: None
) -> None:
    before = len(watch.known())
    plotter = machines.plotters["p1"]
    machines.more("p1", 1)
    sending(machines, "p1", 0.2)
    plotter.host.silence()
    wait_for(30)
    plotter.host.heal()
    delivered(machines, watch, before + 1)


@pytest.mark.parametrize("step", list(MoveStep))
def test_harvester_and_archiver_are_killed_at_each_step(
    machines: Machines, watch: Watch, slow: None, step: MoveStep
) -> None:
    """The harvester of p1's plot, and the archiver of p2's, in one go: to wait for both takes no longer."""
    before, begun = len(watch.known()), {name: starts(machines, name) for name in machines.plotters}
    held = machines.harvesters.values() if step is MoveStep.RESERVE else machines.plotters.values()
    role = "harvester" if step is MoveStep.RESERVE else "plotter"
    hold = step in (MoveStep.RESERVE, MoveStep.RELEASE)  # too short to strike otherwise
    struck: Machine | None = None
    for name in machines.plotters:
        machines.more(name, 1)
    if step is MoveStep.RELEASE:
        for name in in_turn(machines):  # the other's transfer is not waited for: it may be over first
            machines.plotters[name].signal(role, signal.SIGSTOP)
    elif hold:
        for machine in held:
            machine.signal(role, signal.SIGSTOP)
    try:
        if step is MoveStep.TRANSFER:
            sending(machines, "p1", 0.2)
        left = set(machines.plotters)
        while left:  # the first at the step: the other is not waited for
            name, move = first_at(machines, step, left)
            left.remove(name)
            if name == "p1":
                struck = machines.harvesters[move.harvester]
                struck.signal("harvester", signal.SIGKILL)
            else:
                machines.plotters[name].signal("archiver", signal.SIGKILL)
    finally:
        if hold:
            for machine in held:
                if machine is not struck or role != "harvester":
                    machine.signal(role, signal.SIGCONT)
    full_speed(machines)
    delivered(machines, watch, before + 2, 180)
    assert {name: starts(machines, name) for name in begun} == {
        name: count + 1 for name, count in begun.items()
    }


def test_power_of_the_harvester_is_cut_at_60_percent_of_a_transfer(
    machines: Machines, watch: Watch, slow: None
) -> None:
    before = len(watch.known())
    machines.more("p1", 1)
    harvester = machines.harvesters[sending(machines, "p1", 0.6).harvester]
    harvester.power_cut()
    wait_for(2)
    full_speed(machines)
    harvester.boot()
    delivered(machines, watch, before + 1)


def test_power_of_the_harvester_is_cut_right_after_admission(machines: Machines, watch: Watch) -> None:
    before, on_drives = len(watch.known()), watch.on_drives().keys()
    machines.more("p1", 1)
    new = eventually(lambda: watch.on_drives().keys() - on_drives, "a plot is taken in", 60, every_s=0.005)
    (place,) = watch.on_drives()[next(iter(new))]
    harvester = machines.harvesters[place.host]
    plotter = machines.plotters["p1"]
    gone = lambda: not list(plotter.host.seen(plotter.dst).glob("*.plot"))  # noqa: E731
    eventually(gone, "the source is deleted", 30, every_s=0.005)
    harvester.power_cut()
    harvester.boot()
    delivered(machines, watch, before + 1)


def test_while_harvesters_are_silent_plotting_goes_on_until_the_buffer_is_full(
    machines: Machines, watch: Watch
) -> None:
    """For longer than a minute: what is unknown is neither zero nor plenty."""
    before, begun = len(watch.known()), starts(machines, "p2")
    for harvester in machines.harvesters.values():
        harvester.signal("harvester", signal.SIGSTOP)
    try:
        machines.more("p2", None)
        eventually(lambda: starts(machines, "p2") >= begun + 3, "plotting goes on", 60)
        eventually(lambda: "harvester" in machines.waits(), "their room is unknown, and said to be", 75)
        eventually(lambda: "dst room" in machines.waits(), "no plot starts that dst has no room for", 60)
        eventually(lambda: not machines.jobs("p2"), "those that run come to their end", 60)
        made = len(watch.known()) - before
        assert len(watch.at_home()) == made == starts(machines, "p2") - begun, "none is sent, none has failed"
    finally:
        for harvester in machines.harvesters.values():
            harvester.signal("harvester", signal.SIGCONT)
    machines.more("p2", 0)
    eventually(lambda: not machines.jobs("p2"), "those that run come to their end", 60)
    delivered(machines, watch, before + starts(machines, "p2") - begun)
