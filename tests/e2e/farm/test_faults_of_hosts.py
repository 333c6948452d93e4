"""Hosts and networks misbehave: far away, renamed, without an init that reaps; dst hangs; Redis is older.

Several at once, each on a machine of its own: to wait for all takes as long as for one.
"""

from __future__ import annotations

import shutil

import pytest

from common.names import Role
from tests.e2e.farm.help import delivered, running
from tests.support.machines import MB, Machines
from tests.support.waiting import eventually
from tests.support.watch import Watch

pytestmark = pytest.mark.timeout(240)


def build(farm: Machines) -> None:
    farm.add_scheduler()
    for name in ("p1", "p2", "p3"):
        farm.add_plotter(name)
    farm.add_harvester("h1", drives=2, drive_bytes=128 * MB)


def test_plots_of_a_far_a_renamed_and_an_unreaped_plotter_are_delivered(
    machines: Machines, watch: Watch
) -> None:
    """p1: 200 ms there and back, each twentieth packet lost. p2: its host name changes at run time, and its
    processes start again. p3: its process 1 reaps nobody, and its plotter worker is killed."""
    before = len(watch.known())
    far, renamed, unreaped = machines.plotters.values()
    far.host.far(delay_ms=100, loss_percent=5)
    renamed.host.call("hostname", "renamed")
    unreaped.host.reaps(False)
    try:
        machines.more("p1", 1)
        for name in ("plotter", "archiver"):
            renamed.kill(name)
        machines.more("p2", 1)
        machines.more("p3", 1)
        running(machines, "p3")
        unreaped.kill("plotter")
        delivered(machines, watch, before + 3)
        assert set(machines.board().snapshots(Role.PLOTTER)) == set(machines.plotters)
        eventually(lambda: not machines.jobs("p3"), "a zombie is no job", 30)
    finally:
        far.host.heal()
        renamed.host.call("hostname", "p2")
        unreaped.host.reaps(True)


def test_while_dst_hangs_on_one_plotter_and_redis_comes_back_older_no_plot_is_lost(
    machines: Machines, watch: Watch
) -> None:
    """Older by a plot of p2, as a replica that is promoted."""
    before = len(watch.known())
    hanging = machines.plotters["p1"]
    for name in ("p1", "p2"):
        machines.more(name, 2)
        running(machines, name)
    hanging.host.call("fsfreeze", "-f", hanging.dst)
    try:
        folder, older = machines.folder / "redis", machines.folder / "older"
        shutil.copytree(folder, older)
        known = len(watch.known())
        eventually(lambda: len(watch.known()) > known, "a plot of p2 is done", 60)
        machines.kill_broker()
        shutil.rmtree(folder)
        older.rename(folder)
        machines.start_broker()
        machines.all_there()
        snapshot = machines.plotter("p1")
        assert snapshot and [job.task_id for job in snapshot.jobs], "its plotter waits for dst"
    finally:
        hanging.host.call("fsfreeze", "-u", hanging.dst)
    delivered(machines, watch, before + 4)
