"""Running plots outlive every process of ours; a worker that comes back finds them."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter

from common.system.plotfile import expected_size_bytes, read_header
from tests.support.farm import HOST, Farm
from tests.support.held import begun, go_on, plots_held
from tests.support.sections import SMALL
from tests.support.waiting import eventually

K20 = SMALL | {"k": 20, "job_buffer": 400}


def test_killing_worker_beat_and_broker_in_turn_costs_no_plot_and_doubles_none(farm: Farm) -> None:
    farm.configure()
    farm.allow(4)
    farm.up()
    held = plots_held(farm, 2)
    for name in ("plotter", "beat", "broker"):
        old = farm.kill(name)
        eventually(lambda name=name, old=old: farm.pids().get(name, old) != old, f"{name} is started again")
        # Nothing that ran was started twice, and nothing has lost its task.
        eventually(lambda: pids_of(farm) == held, "the same two are on the board", 60)
    go_on(held)
    eventually(lambda: len(farm.archived()) == 4, "they and two more are on the drives", 120)
    for plot in farm.archived():
        assert plot.stat().st_size == expected_size_bytes(read_header(plot))
    for task_id in held:
        eventually(lambda task_id=task_id: farm.status_of(task_id) == "SUCCESS", f"{task_id} succeeded")
    eventually(lambda: not list(farm.folder.glob("dst/*/*.plot")), "nothing is left to be moved")
    assert len(list(farm.logs.glob("*.plot.log"))) == 4, "exactly the plots asked for were started"
    assert max(Counter(plot.name for plot in farm.archived()).values()) == 1


def test_a_worker_that_is_stopped_leaves_its_plot_and_goes_on_under_the_same_task(farm: Farm) -> None:
    farm.configure(tmp=1)
    farm.allow(3)
    farm.up()
    for made, number in enumerate((signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL), start=1):
        held = plots_held(farm, 1)
        ((task_id, pid),) = held.items()
        began = time.monotonic()
        old = farm.kill("plotter", number)
        eventually(lambda old=old: farm.pids().get("plotter", old) != old, f"one comes after {number}", 15)
        assert time.monotonic() - began < 12
        os.kill(pid, 0)  # the plotter lives
        go_on(held)
        eventually(lambda id=task_id: farm.status_of(id) == "SUCCESS", "the same task ends well", 60)
        eventually(lambda made=made: len(farm.events("plot-done")) == made, "its end is told, once")
    eventually(lambda: len(farm.archived()) == 3, "the plots are archived")
    assert len(list(farm.logs.glob("*.plot.log"))) == 3


def test_a_plot_that_ended_while_nobody_watched_is_judged_afterwards(farm: Farm) -> None:
    farm.configure(tmp=1)
    farm.allow(1)
    up = farm.up()
    held = plots_held(farm, 1)
    ((task_id, pid),) = held.items()
    up.send_signal(signal.SIGINT)
    assert up.wait(30) == 0
    os.kill(pid, 0)  # Ctrl-C stopped us and not the plot
    go_on(held)
    eventually(lambda: list(farm.folder.glob("dst/1/*.plot")), "it finishes by itself")
    eventually(lambda: not _running(pid), "its plotter ended")
    again = farm.up()
    eventually(lambda: farm.status_of(task_id) == "SUCCESS", "it is judged by log and file", 60)
    assert farm.result(task_id)["result"]["plot_id"]
    eventually(lambda: len(farm.archived()) == 1, "the plot is archived")
    again.send_signal(signal.SIGHUP)  # its terminal is closed
    assert again.wait(30) == 0
    assert "Traceback" not in (farm.folder / "up.log").read_text(encoding="utf-8")


def test_terminating_a_plot_kills_its_plotter_and_deletes_its_tmp_files(farm: Farm) -> None:
    farm.configure(tmp=1, plotting={"chiapos": {"executable": str(farm.chia), **K20}})
    farm.allow(1)
    farm.up("--only", "plotter", "--only", "beat")
    job = eventually(lambda: begun(farm), "a plot has its files", 60)[0]
    assert list(farm.folder.glob("tmp/1/*"))
    # Answers count that come in time: without -d and -t it waits for a second and for nobody longer.
    patient = ("control", "-t", "10", "-d", f"plotter@{HOST}")
    assert farm.celery(*patient, "terminate", "SIGTERM", job.task_id).returncode == 0
    eventually(lambda: not _running(job.pid), "the plotter is gone")
    eventually(lambda: not list(farm.folder.glob("tmp/1/*")), "its tmp files are gone")
    eventually(lambda: not farm.jobs(), "the job is gone")
    eventually(lambda: farm.status_of(job.task_id) == "REVOKED", "its task is revoked")


def pids_of(farm: Farm) -> dict[str, int]:
    return {job.task_id: job.pid for job in farm.jobs()}


def _running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
