"""The systemd units, under a real systemd: stopping and restarting them never takes a plot along."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from common.config import load
from common.model.snapshot import Job
from common.names import Role
from common.store import Board
from plotman.supervisor.processes import child_process
from tests.support.farm import HOST, Farm, plotters_of
from tests.support.installed import environment
from tests.support.paths import ROOT
from tests.support.sections import SMALL
from tests.support.systemd import Systemd, why_not
from tests.support.waiting import eventually

UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))
ROLES = ("plotter", "archiver", "harvester", "beat", "flower")
NO_PLOTS = ("beat", "flower", "metrics", "notifier")
FEW_RIGHTS = (
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "RestrictNamespaces=yes",
    "RestrictSUIDSGID=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "SystemCallFilter=@system-service",
    "StateDirectoryMode=0700",
)
K20 = SMALL | {"k": 20, "job_buffer": 400}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_nothing_wrong_with_a_unit(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing (apt-get install systemd)")
    here = tmp_path / unit.name
    here.write_text(unit.read_text().replace("/opt/plotman/", f"{environment()}/"))
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", here], capture_output=True, text=True, check=False
    )
    told = [line for line in (ran.stdout + ran.stderr).splitlines() if not _of_a_newer_systemd(line)]
    assert told == []
    assert ran.returncode in (0, 1)


def _of_a_newer_systemd(line: str) -> bool:
    return re.search(r"Unknown key '(RestartSteps|RestartMaxDelaySec)'", line) is not None


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_has_few_rights(unit: Path) -> None:
    lines = unit.read_text().splitlines()
    assert set(FEW_RIGHTS) <= set(lines)
    # Plots must be readable for the farmer, who is another user: no UMask where they are made.
    assert ("UMask=0077" in lines) == (unit.stem.removeprefix("plotman-") in NO_PLOTS)
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing (apt-get install systemd)")
    ran = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=40", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    if "offline" in ran.stderr:
        pytest.skip("this systemd-analyze reads no files (systemd 250 does)")
    assert ran.returncode == 0, ran.stdout


def test_there_is_a_unit_for_everything_and_one_for_each_role() -> None:
    verbs = ("metrics", "notifier")
    assert {unit.stem for unit in UNITS} == {"plotman", *(f"plotman-{role}" for role in (*ROLES, *verbs))}


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    made = Systemd(tmp_path / "systemd", environment())
    yield made
    made.close()


def only_plotter(state: Path) -> psutil.Process | None:
    found = [process for process in plotters_of(state) if process.status() != psutil.STATUS_ZOMBIE]
    return min(found, key=lambda process: process.pid) if found else None


def test_stopping_and_restarting_plotman_leaves_its_plots_running_and_finds_them_again(
    farm: Farm, systemd: Systemd
) -> None:
    farm.configure(tmp=1, plotting={"chiapos": {"executable": str(farm.chia), **K20}})
    farm.allow(1)
    systemd.add(
        ROOT / "deploy/systemd/plotman.service",
        PLOTMAN_CONFIG=str(farm.config),
        CHIA_ROOT=str(farm.chia_root),
    )
    systemd("start", "plotman")
    job = eventually(lambda: [job for job in farm.jobs() if job.phase], "a plot runs", 60)[0]
    plotter = only_plotter(farm.state)
    assert plotter is not None
    # It is in the unit's cgroup, where the default KillMode would reach it.
    assert "plotman.service" in Path(f"/proc/{plotter.pid}/cgroup").read_text()
    plotter.suspend()  # so that it outlives what follows however long that takes

    before = systemd.shown("plotman", "MainPID")
    systemd("restart", "plotman")
    assert systemd.shown("plotman", "MainPID") != before
    assert plotter.is_running()

    systemd("stop", "plotman")
    assert systemd.shown("plotman", "ActiveState") == "inactive"
    assert plotter.is_running()
    assert [p for p in plotters_of(farm.state) if "plotman.serve" in p.cmdline()] == []

    systemd("start", "plotman")
    eventually(farm.alive, "the plotter is back on the board", 60)
    plotter.resume()
    eventually(lambda: farm.status_of(job.task_id) == "SUCCESS", "the same task ends well", 90)
    eventually(lambda: len(farm.archived()) == 1, "the plot is archived")
    assert len(list(farm.logs.glob("*.plot.log"))) == 1, "nothing was started twice"
    systemd("stop", "plotman")


def test_units_of_single_roles_run_together_and_restarting_the_plotter_keeps_its_plot(
    farm: Farm, systemd: Systemd, broker_url: str, board: Board
) -> None:
    farm.configure(
        tmp=1,
        plotting={"chiapos": {"executable": str(farm.chia), **K20}},
        farm={"broker": broker_url, "scheduler": True},
    )
    farm.allow(1)
    for role in ROLES:
        systemd.add(
            ROOT / f"deploy/systemd/plotman-{role}.service",
            PLOTMAN_CONFIG=str(farm.config),
            PLOTMAN_HOST=HOST,
            CHIA_ROOT=str(farm.chia_root),
        )
    units = [f"plotman-{role}" for role in ROLES if role != "flower"]  # its port is not ours to choose here
    systemd("start", *units)

    def running() -> list[Job]:
        snapshot = board.snapshots(Role.PLOTTER).get(HOST)
        return [job for job in snapshot.jobs if job.phase] if snapshot else []

    job = eventually(running, "beat has the plotter start a plot", 60)[0]
    plotter = only_plotter(farm.state)
    assert plotter is not None
    plotter.suspend()
    systemd("restart", *units)
    assert plotter.is_running()
    again = eventually(running, "the plotter has found its plot again", 30)
    assert [each.task_id for each in again] == [job.task_id]
    plotter.resume()
    eventually(lambda: len(farm.archived()) == 1, "the plot is archived", 120)
    assert {systemd.shown(unit, "ActiveState") for unit in units} == {"active"}
    assert {systemd.shown(unit, "NRestarts") for unit in units} == {"0"}, systemd.log.read_text()
    systemd("stop", *units)


def test_the_plotter_unit_stops_for_plotman_and_the_reverse() -> None:
    for unit in UNITS:
        if unit.stem != "plotman":
            assert "Conflicts=plotman.service" in unit.read_text()


def test_the_units_run_what_plotman_up_runs(farm: Farm) -> None:
    farm.configure(archiving={"target": "harvester"})
    settings = load(farm.config)
    for role in ROLES[:-1]:
        child = child_process(role, settings, farm.config)
        line = next(
            line
            for line in (ROOT / f"deploy/systemd/plotman-{role}.service").read_text().splitlines()
            if line.startswith("ExecStart=")
        )
        line = line.replace("${PLOTMAN_HOST}", HOST)
        assert line.split()[1:] == list(child.argv[1:]), yaml.safe_dump({role: child.argv})
