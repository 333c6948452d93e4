"""A drive is evacuated while processes are killed, machines lose their power, and other drives are full."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.names import EVACUATE, STOP_EVACUATION
from tests.e2e.farm.help import delivered, fill
from tests.support.machine import Harvester
from tests.support.machines import MB, Machines
from tests.support.waiting import eventually
from tests.support.watch import Watch


def build(farm: Machines) -> None:
    farm.add_scheduler()
    farm.add_plotter("p1", dst_bytes=192 * MB)
    farm.add_harvester("h1", drives=2, drive_bytes=192 * MB)
    farm.add_harvester("h2", drives=2, drive_bytes=192 * MB)


def made(machines: Machines, watch: Watch, plots: int) -> None:
    """Have at least this number of plots on the drives."""
    missing = plots - len(watch.known())
    if missing > 0:
        machines.more("p1", missing)
        delivered(machines, watch, plots, 240)


def fullest(machines: Machines) -> tuple[Harvester, str]:
    """The machine and the name of the drive with the most plots."""
    drives = [(each, name) for each in machines.harvesters.values() for name in each.drives]
    return max(drives, key=lambda drive: len(drive[0].plots(drive[1])))


class Evacuation:
    """An evacuation that was ordered, and what is seen of it."""

    def __init__(self, machines: Machines, watch: Watch, to: tuple[str, ...] = ()) -> None:
        self.machines, self.watch = machines, watch
        self.machine, self.name = fullest(machines)
        self.drive = self.machine.drives[self.name]
        self.before = self.machine.plots(self.name)
        watch.evacuates(self.drive)
        self.order(*to)

    def order(self, *to: str) -> None:
        answer = self.machines.call(
            EVACUATE, host=self.machine.name, dir=str(self.drive), to=list(to), by="anna@desk"
        )
        assert answer.startswith(f"{self.machine.name} evacuates {self.drive}")

    def left(self) -> list[str]:
        return self.machine.plots(self.name)

    def one_more_leaves(self) -> None:
        left = len(self.left())
        eventually(lambda: len(self.left()) < left, f"one of {left} plots leaves{self.state()}", 120)

    def state(self) -> str:
        return f"; waits {self.machines.waits()}; {self.machines.events('transfer-failed')[-3:]}"

    def ended(self, timeout_s: float = 180) -> None:
        """Wait for its end. From then on each plot is on one drive, and on this one no new plot comes."""

        def over() -> bool:
            snapshot = self.machines.harvester(self.machine.name)
            return snapshot is not None and not snapshot.evacuations

        eventually(lambda: not self.left(), f"all have left{self.state()}", timeout_s)
        eventually(over, "the order is done", 60)
        self.watch.evacuates(self.drive, False)
        looks = self.watch.looks
        eventually(lambda: self.watch.looks > looks + 1, "it is looked at")

    def undrain(self) -> None:
        self.machine.run("undrain", f"{self.machine.name}:{self.drive}")


@pytest.mark.timeout(600)
def test_every_process_is_killed_once_and_each_plot_is_on_one_drive(machines: Machines, watch: Watch) -> None:
    made(machines, watch, 8)
    evacuation = Evacuation(machines, watch)
    assert len(evacuation.before) >= 2
    machine = evacuation.machine
    machine.kill("archiver")
    machine.kill("harvester")
    evacuation.one_more_leaves()
    if evacuation.left():
        machines.schedulers["hub"].kill("beat")
        machine.kill("harvester")
    other = next(each for each in machines.harvesters.values() if each is not machine)
    other.kill("harvester")
    evacuation.ended()
    assert "archiver" not in machine.children() or eventually(
        lambda: "archiver" not in machine.children(), "its archiver ends with it", 30
    )
    assert len(watch.known()) == 8
    evacuation.undrain()


@pytest.mark.timeout(600)
def test_it_continues_after_a_power_cut_of_each_machine(machines: Machines, watch: Watch) -> None:
    known = len(watch.known())
    made(machines, watch, max(8, known))
    machine, _ = fullest(machines)
    other = next(each for each in machines.harvesters.values() if each is not machine)
    evacuation = Evacuation(machines, watch, (other.name,))
    evacuation.one_more_leaves()
    machine.power_cut()
    machine.boot()
    if evacuation.left():
        eventually(lambda: not evacuation.left() or "archiver" in machine.children(), "it is resumed", 60)
    other.power_cut()
    other.boot()
    evacuation.ended()
    evacuation.undrain()


@pytest.mark.timeout(600)
def test_a_full_farm_waits_with_its_reason_and_goes_on_once_there_is_room(
    machines: Machines, watch: Watch
) -> None:
    made(machines, watch, max(8, len(watch.known())))
    machine, name = fullest(machines)
    filled: list[tuple[Harvester, Path, Path]] = []
    for each in machines.harvesters.values():
        for drive in each.drives:
            if (each, drive) != (machine, name):
                watch.filled(each.drives[drive])
                here = each.host.seen(each.drives[drive])
                filled.append((each, each.drives[drive], fill(here, 2 * MB)))
    evacuation = Evacuation(machines, watch)
    eventually(lambda: "plot needs" in machines.waits().get("drives", ""), "it waits and tells why", 60)
    assert evacuation.left() == evacuation.before
    for _, drive, taken in filled:
        taken.unlink()
        watch.filled(drive, False)
    evacuation.ended()
    evacuation.undrain()


@pytest.mark.timeout(600)
def test_an_operator_ends_it_and_no_plot_is_on_two_drives(machines: Machines, watch: Watch) -> None:
    made(machines, watch, max(8, len(watch.known())))
    evacuation = Evacuation(machines, watch)
    evacuation.one_more_leaves()
    machines.call(STOP_EVACUATION, host=evacuation.machine.name, dir=str(evacuation.drive))

    def over() -> bool:
        snapshot = machines.harvester(evacuation.machine.name)
        return snapshot is not None and not snapshot.evacuations

    eventually(over, "it has ended", 120)
    watch.evacuates(evacuation.drive, False)
    looks = watch.looks
    eventually(lambda: watch.looks > looks + 1, "it is looked at")
    snapshot = machines.harvester(evacuation.machine.name)
    assert snapshot is not None
    (drive,) = [each for each in snapshot.drives if each.path == str(evacuation.drive)]
    assert drive.word == "draining"
    evacuation.undrain()
