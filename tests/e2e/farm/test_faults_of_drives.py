"""Drives are pulled, empty, read-only, full, and tell lies; plots are cut short and damaged."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.model.snapshot import DirState, PlotState
from common.names import RESEND
from tests.e2e.farm.help import delivered, drive_of, fill, sending
from tests.support.machine import Harvester
from tests.support.machines import HUB, MB, Machines
from tests.support.waiting import eventually
from tests.support.watch import Watch

pytestmark = pytest.mark.timeout(240)


def build(farm: Machines) -> None:
    farm.add_scheduler()
    for name in ("p1", "p2"):
        farm.add_plotter(name)
    # More than two: what a broken transfer leaves keeps others off its drive for a while.
    farm.add_harvester("h1", drives=4, drive_bytes=96 * MB)


@pytest.fixture
def slow(machines: Machines) -> Iterator[None]:
    """Plots leave their plotters slowly."""
    for plotter in machines.plotters.values():
        plotter.host.rate(5)
    yield
    for plotter in machines.plotters.values():
        plotter.host.rate(0)


@pytest.fixture
def harvester(machines: Machines) -> Harvester:
    return machines.harvesters["h1"]


def state_of(machines: Machines, drive: Path) -> DirState | None:
    snapshot = machines.harvester("h1")
    found = {each.path: each.state for each in snapshot.drives} if snapshot else {}
    return found.get(str(drive))


@pytest.fixture
def litter() -> Iterator[list[Path]]:
    """Files of somebody else, as seen from outside; they are deleted after the test."""
    made: list[Path] = []
    yield made
    for file in made:
        file.unlink(missing_ok=True)


def test_a_drive_is_pulled_during_a_transfer(
    machines: Machines, watch: Watch, harvester: Harvester, slow: None
) -> None:
    before = len(watch.known())
    machines.more("p1", 1)
    drive = drive_of(machines, sending(machines, "p1", 0.3))
    harvester.host.pull(drive)
    machines.plotters["p1"].host.rate(0)
    delivered(machines, watch, before + 1)
    bare = harvester.host.seen(harvester.drives[drive])
    assert not list(bare.iterdir()), "nothing is written to a mount point without its drive"
    harvester.host.push(drive)
    eventually(lambda: state_of(machines, harvester.drives[drive]) is DirState.OK, "it is back", 30)
    eventually(lambda: not harvester.parts(), "what was begun on it gives its room back", 30)


def test_a_mount_point_that_is_empty_is_never_written_to(
    machines: Machines, watch: Watch, harvester: Harvester
) -> None:
    before = len(watch.known())
    harvester.host.pull("d1")
    machines.more("p1", 1)
    delivered(machines, watch, before + 1)
    assert not list(harvester.host.seen(harvester.drives["d1"]).iterdir())
    eventually(
        lambda: state_of(machines, harvester.drives["d1"]) is DirState.NOT_MOUNTED, "it is told so", 30
    )
    harvester.host.push("d1")
    eventually(lambda: state_of(machines, harvester.drives["d1"]) is DirState.OK, "it is back", 30)


def test_a_drive_that_is_read_only_takes_nothing(
    machines: Machines, watch: Watch, harvester: Harvester
) -> None:
    before = len(watch.known())
    count = len(harvester.plots("d1"))
    harvester.host.drives["d1"].remount(harvester.host, read_only=True)
    machines.more("p2", 1)
    delivered(machines, watch, before + 1)
    assert len(harvester.plots("d1")) == count
    eventually(lambda: state_of(machines, harvester.drives["d1"]) is DirState.READ_ONLY, "it is told so", 30)
    harvester.host.drives["d1"].remount(harvester.host, read_only=False)
    eventually(lambda: state_of(machines, harvester.drives["d1"]) is DirState.OK, "it takes plots again", 30)


def test_a_drive_that_somebody_else_fills_during_a_transfer_still_has_the_plots_room(
    machines: Machines, watch: Watch, harvester: Harvester, slow: None, litter: list[Path]
) -> None:
    before = len(watch.known())
    machines.more("p1", 1)
    drive = drive_of(machines, sending(machines, "p1", 0.2))
    path = harvester.drives[drive]
    watch.filled(path)
    litter.append(fill(harvester.host.seen(path), leave_bytes=0))
    machines.plotters["p1"].host.rate(0)
    delivered(machines, watch, before + 1)
    litter.pop().unlink()
    watch.filled(path, by_others=False)


def test_two_plots_are_ready_at_once_and_there_is_room_for_one_and_a_half(
    machines: Machines, watch: Watch, harvester: Harvester, litter: list[Path]
) -> None:
    before = len(watch.known())
    busy = {part.parent.parent.name for part in harvester.parts()}
    free = next(name for name in harvester.drives if name not in busy)
    for name, path in harvester.drives.items():
        roomy = name == free
        litter.append(fill(harvester.host.seen(path), leave_bytes=7 * MB if roomy else 2 * MB))
    for name in machines.plotters:
        machines.more(name, 1)
    eventually(lambda: len(watch.known()) == before + 2 and len(watch.at_home()) == 1, "one has room", 60)
    eventually(lambda: "drives" in machines.waits() or "retry" in machines.waits(), "the other waits", 30)
    assert len(watch.at_home()) == 1
    for file in litter:
        file.unlink()
    delivered(machines, watch, before + 2)


def test_a_plot_that_is_truncated_at_its_source_stays_there_and_is_named(
    machines: Machines, watch: Watch
) -> None:
    before = watch.known()
    plotter = machines.plotters["p1"]
    machines.schedulers[HUB].signal("beat", signal.SIGSTOP)
    try:
        machines.app().send_task("plotter_worker.pause", kwargs={"host": "p1", "after": 1})
        machines.app().send_task("plotter_worker.plot", kwargs={"host": "p1"})
        new = eventually(lambda: watch.known() - before, "a plot is made", 60)
        watch.spoilt(next(iter(new)))
        (source,) = plotter.host.seen(plotter.dst).glob("*.plot")
        os.truncate(source, source.stat().st_size // 2)
    finally:
        machines.schedulers[HUB].signal("beat", signal.SIGCONT)

    def told() -> bool:
        snapshot = machines.plotter("p1")
        return bool(snapshot) and [plot.state for plot in snapshot.plots] == [PlotState.TRUNCATED]

    eventually(told, "it is named", 30)
    eventually(lambda: PlotState.TRUNCATED.value in machines.waits(), "the reason is given", 30)
    assert source.exists(), "it is left alone"
    watch.forget(next(iter(new)))
    source.unlink()
    delivered(machines, watch, len(before))


def test_a_plot_that_is_damaged_on_its_way_to_the_drive_is_refused_and_its_source_kept(
    machines: Machines, watch: Watch, harvester: Harvester, slow: None
) -> None:
    before = watch.known()
    machines.more("p1", 1)
    transfer = sending(machines, "p1", 0.5)
    (part,) = [part for part in harvester.parts() if part.stem == transfer.plot_id]
    with part.open("r+b") as file:
        file.seek(transfer.size_bytes // 4)
        file.write(b"\xff" * (transfer.size_bytes // 8))
    machines.plotters["p1"].host.rate(0)

    def refused() -> bool:
        snapshot = machines.plotter("p1")
        states = [plot.state for plot in snapshot.plots] if snapshot else []
        return states == [PlotState.REFUSED] or not watch.at_home()

    eventually(refused, "it is refused, or was mended", 60)
    if watch.at_home():
        eventually(lambda: machines.events("refused"), "it is told loudly")
        machines.call(RESEND, host="p1", plot=transfer.plot_id)
    delivered(machines, watch, len(before) + 1)
