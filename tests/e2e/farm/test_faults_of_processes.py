"""Our own processes die, freeze and come twice; the plots and the farm do not mind."""

from __future__ import annotations

import signal

import pytest

from tests.e2e.farm.help import delivered, running, sending, starts
from tests.support.lab import wait_for
from tests.support.machines import MB, Machines
from tests.support.sections import SMALL
from tests.support.waiting import eventually
from tests.support.watch import Watch

DOOR_PORT = 8730
SLOWER = {"chiapos": SMALL | {"k": 20, "job_buffer": 400}}


def build(farm: Machines) -> None:
    farm.add_scheduler()
    farm.add_scheduler("hub2")
    plotting = {"chiapos": {"executable": str(farm.chia), **SLOWER["chiapos"]}}
    for name in ("p1", "p2"):
        farm.add_plotter(name, dst_bytes=192 * MB, plotting=plotting)
    for name in ("h1", "h2"):
        farm.add_harvester(name, drives=2, drive_bytes=192 * MB)


def test_a_killed_plotter_worker_finds_its_plots_again(machines: Machines, watch: Watch) -> None:
    before = len(watch.known())
    machines.more("p1", 2)
    jobs = running(machines, "p1", 2)
    machines.plotters["p1"].kill("plotter")
    again = running(machines, "p1", 2)
    assert {task_id: job.pid for task_id, job in again.items()} == {
        task_id: job.pid for task_id, job in jobs.items()
    }
    delivered(machines, watch, before + 2)
    assert starts(machines, "p1") == 2


def test_after_a_reboot_of_a_plotter_its_tmp_is_swept_and_a_new_plot_started(
    machines: Machines, watch: Watch
) -> None:
    before = len(watch.known())
    plotter = machines.plotters["p1"]
    machines.more("p1", None)
    lost = [job.plot_id or "" for job in running(machines, "p1", 2).values()]
    plotter.host.call("sync")  # so that something is left to sweep
    plotter.power_cut()
    plotter.boot()

    def leftovers() -> list[str]:
        folders = [*plotter.tmp, plotter.dst]
        names = [file.name for folder in folders for file in plotter.host.seen(folder).iterdir()]
        return [name for name in names if any(plot_id in name for plot_id in lost)]

    assert leftovers(), "the power cut left something"
    try:
        eventually(
            lambda: [job for job in machines.jobs("p1") if job.plot_id and job.plot_id not in lost],
            "a new plot is started",
            60,
        )
        eventually(lambda: not leftovers(), "what the lost plots left is swept")
    finally:
        machines.more("p1", 0)
    eventually(lambda: not machines.jobs("p1"), "the plots that run come to their end", 60)
    delivered(machines, watch, max(before + 2, len(watch.known())))


def test_a_plot_that_is_done_outlives_a_power_cut_of_its_plotter(machines: Machines, watch: Watch) -> None:
    before = watch.known()
    plotter = machines.plotters["p1"]
    for harvester in machines.harvesters.values():
        harvester.host.unplug()  # so that it lies at its source
    try:
        machines.more("p1", 1)
        eventually(lambda: watch.known() - before, "a plot is done", 60)
        # fsync of a few MB on a busy machine; the kernel by itself would take up to half a minute
        wait_for(5)
        plotter.power_cut()
        plotter.boot()
        (done,) = watch.known() - before
        files = list(plotter.host.seen(plotter.dst).glob(f"*{done}.plot"))
        assert [file.stat().st_size > 0 for file in files] == [True]
    finally:
        for harvester in machines.harvesters.values():
            harvester.host.heal()
    delivered(machines, watch, len(before) + 1)


def test_a_killed_beat_decides_again_within_seconds(machines: Machines, watch: Watch) -> None:
    before, begun = len(watch.known()), starts(machines, "p2")
    for scheduler in machines.schedulers.values():
        scheduler.signal("beat", signal.SIGKILL)
    machines.more("p2", 1)
    eventually(lambda: starts(machines, "p2") == begun + 1, "a plot is started", 20)
    delivered(machines, watch, before + 1)


@pytest.mark.timeout(300)
def test_a_transfer_that_is_cut_twice_sends_at_most_a_twentieth_again(
    machines: Machines, watch: Watch
) -> None:
    """The connection is reset, and later the archiver killed. Here, where plots are larger (17 MB)."""
    before = len(watch.known())
    plotter = machines.plotters["p1"]
    plotter.host.rate(10)
    for harvester in machines.harvesters.values():
        harvester.host.count(DOOR_PORT)
    machines.more("p1", 1)
    running(machines, "p1")
    eventually(lambda: not machines.jobs("p1"), "the plot is made", 120)
    sending(machines, "p1", 0.3)
    plotter.host.reset()
    transfer = sending(machines, "p1", 0.6)
    plotter.signal("archiver", signal.SIGKILL)
    delivered(machines, watch, before + 1, 180)
    plotter.host.rate(0)
    came_bytes = sum(each.host.counted_bytes(DOOR_PORT) for each in machines.harvesters.values())
    assert transfer.size_bytes <= came_bytes <= 1.05 * transfer.size_bytes


def _leader(machines: Machines) -> str:
    """Host of the beat that decides."""
    waits = machines.board().waits()
    return waits.beat.partition(":")[0] if waits else ""


def test_of_two_beats_the_other_decides_when_one_s_machine_goes_off(machines: Machines, watch: Watch) -> None:
    """Only the second machine goes off: Redis stands on the first."""
    before, begun = len(watch.known()), starts(machines, "p2")
    eventually(lambda: _leader(machines) in machines.schedulers, "one beat decides")
    if _leader(machines) != "hub2":
        # Frozen, not ended: one that is started again might be the first to ask.
        machines.schedulers["hub"].signal("beat", signal.SIGSTOP)
        eventually(lambda: _leader(machines) == "hub2", "the other beat decides", 20)
        machines.schedulers["hub"].signal("beat", signal.SIGCONT)
    machines.schedulers["hub2"].power_cut()
    machines.more("p2", 2)
    eventually(lambda: starts(machines, "p2") == begun + 2, "the first beat has taken over", 20)
    assert _leader(machines) == "hub"
    machines.schedulers["hub2"].boot()
    delivered(machines, watch, before + 2)
    assert starts(machines, "p2") == begun + 2


@pytest.mark.timeout(240)
def test_a_beat_that_was_frozen_for_a_minute_sends_nothing_stale(machines: Machines, watch: Watch) -> None:
    before = len(watch.known())
    begun = {name: starts(machines, name) for name in machines.plotters}
    eventually(lambda: _leader(machines) in machines.schedulers, "one beat decides")
    frozen = _leader(machines)
    for name in machines.plotters:
        machines.more(name, 1)
    machines.schedulers[frozen].signal("beat", signal.SIGSTOP)
    eventually(lambda: _leader(machines) != frozen, "the other beat decides", 20)
    for name in machines.plotters:
        eventually(lambda name=name: starts(machines, name) == begun[name] + 1, f"{name} plots", 30)
    wait_for(45)
    machines.schedulers[frozen].signal("beat", signal.SIGCONT)
    for name in machines.plotters:
        machines.more(name, 1)
    delivered(machines, watch, before + 4)
    assert {name: starts(machines, name) for name in machines.plotters} == {
        name: count + 2 for name, count in begun.items()
    }
