"""On a machine whose plotman is not running, its plots are seen and controlled."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import psutil

from tests.support.farm import HOST, Farm
from tests.support.sections import SMALL
from tests.support.waiting import eventually


def test_plots_are_shown_suspended_and_killed_while_plotman_is_not_running(farm: Farm) -> None:
    slow = {"type": "chiapos", "chiapos": {"executable": str(farm.chia), "k": 24, **SMALL}}
    farm.configure(tmp=2, dst=2, plotting=slow, scheduling={"global_max_jobs": 2})
    farm.allow(1)
    up = farm.up()
    (job,) = eventually(farm.jobs, "a plot runs", 60)
    by_hand = farm.plot_by_hand(farm.folder / "tmp/2", farm.folder / "dst/2", farm.folder / "hand.log", k=24)
    eventually(lambda: len(farm.jobs()) == 2, "the plot that a user started is seen")
    up.send_signal(signal.SIGTERM)
    up.wait(30)
    records = sorted((farm.state / "jobs").iterdir())

    status = farm.run("status")
    assert status.returncode == 0, status.stderr
    first, *_ = status.stdout.splitlines()
    assert first.startswith("! plotman is not running here; 2 plots are, and only this machine is shown: ")
    shown = json.loads(farm.run("status", "--json").stdout)
    assert {one["pid"] for one in shown["jobs"]} == {job.pid, by_hand.pid}
    assert f"{farm.folder}/tmp/1" in farm.run("dirs").stdout
    plot = f"{HOST}:{job.pid}"
    assert farm.run("details", plot).stdout.splitlines()[0].startswith("plot id ")
    assert sorted((farm.state / "jobs").iterdir()) == records, "a verb that only looks writes no records"

    suspended = farm.run("suspend", plot)
    assert (suspended.returncode, suspended.stderr) == (0, "")
    assert psutil.Process(job.pid).status() == psutil.STATUS_STOPPED
    assert farm.run("resume", plot).returncode == 0
    assert psutil.Process(job.pid).status() != psutil.STATUS_STOPPED

    scratch = _scratch(farm.folder / "tmp/1")
    assert scratch
    second = farm.plot_by_hand(farm.folder / "tmp/2", farm.folder / "dst/2", farm.folder / "second.log", k=24)
    eventually(
        lambda: len(json.loads(farm.run("status", "--json").stdout)["jobs"]) == 3, "a third plot is seen"
    )
    killed = farm.run("kill", "--yes", plot, f"{HOST}:{second.pid}")
    assert (killed.returncode, killed.stderr) == (0, "")
    assert second.wait(10) != 0
    assert not psutil.pid_exists(job.pid) or psutil.Process(job.pid).status() == psutil.STATUS_ZOMBIE
    assert _scratch(farm.folder / "tmp/1") == []
    assert psutil.pid_exists(by_hand.pid)
    assert _scratch(farm.folder / "tmp/2")
    assert farm.run("status").stdout.startswith("! plotman is not running here; 1 plot is")

    missing = farm.run("details", "nowhere:1")
    assert missing.returncode == 5
    assert "Traceback" not in missing.stderr

    farm.up()
    eventually(lambda: farm.status_of(job.task_id) == "REVOKED", "its task ends as after any kill", 30)
    assert [one.pid for one in farm.jobs()] == [by_hand.pid]
    assert not farm.events("plot-failed")


def test_a_machine_that_makes_no_plots_says_that_redis_does_not_answer(farm: Farm) -> None:
    farm.configure(directories=None, scheduling=None, plotting=None, archiving=None)
    status = farm.run("status")
    assert status.returncode == 4
    assert status.stderr.startswith("plotman: ")
    assert len(status.stderr.splitlines()) == 1


def _scratch(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
