"""A farm without harvester: plots go to local_rsync as plotman 0.5.3 is configured, from beat to the end."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import psutil
import pytest

from common.model.snapshot import ArchiverSnapshot
from common.names import Role
from plotter_worker.archiving.targets.transfer_script import MARK
from tests.support.farm import HOST, Farm
from tests.support.plots import write_plot
from tests.support.waiting import eventually

SLOW_KIB_S = 500  # some eight seconds a plot: longer than a restart


def df(farm: Farm, lines: str) -> None:
    """What the machine says of its drives."""
    program = farm.folder / "bin" / "df"
    program.write_text(f"#!/bin/sh\n{lines}\n")
    program.chmod(0o755)


def room(farm: Farm, **free_bytes: int) -> str:
    listed = [
        f"/dev/{name} 9 9 {free // 1024} 5% {farm.folder}/drives/{name}" for name, free in free_bytes.items()
    ]
    return "\n".join(
        ["cat <<'END'", "Filesystem 1024-blocks Used Available Capacity Mounted on", *listed, "END"]
    )


def transfers(farm: Farm) -> set[int]:
    """Sessions of the transfers that run; one rsync is several processes."""
    found = set()
    for process in psutil.process_iter(["name"]):
        try:
            if process.info["name"] == "rsync" and process.environ().get(MARK) == str(farm.state):
                found.add(os.getsid(process.pid))
        except (psutil.Error, ProcessLookupError):
            continue
    return found


def archiver(farm: Farm) -> ArchiverSnapshot | None:
    found: ArchiverSnapshot | None = farm.board().snapshots(Role.ARCHIVER).get(HOST)
    return found


@pytest.mark.skipif(not shutil.which("rsync") and not os.environ.get("CI"), reason="rsync is not installed")
def test_a_plot_goes_to_a_target_of_0_5_3_and_is_not_lost_or_sent_twice_by_a_restart(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    (farm.folder / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{farm.folder / 'bin'}:{os.environ['PATH']}")
    options = f"--bwlimit={SLOW_KIB_S} --preallocate --remove-source-files --skip-compress plot --whole-file"
    env = {"site_root": str(farm.folder / "drives"), "options": options}
    farm.configure(
        archiving={"target": "local_rsync", "env": env},
        harvester=None,
        logging={
            "plots": str(farm.logs),
            "transfers": str(farm.folder / "transfers"),
            "disk_spaces": str(farm.folder / "disk_spaces.log"),
        },
    )
    plot = write_plot(farm.folder / "dst" / "1")
    content = {plot.name: plot.read_bytes()}
    df(farm, "echo df: cannot read the table of mounts >&2; exit 1")
    farm.allow(0)
    farm.up()
    why = "disk space script exits 1: df: cannot read the table of mounts."
    eventually(lambda: why in farm.waits().get("target", ""), "the failing script is the reason", 30)

    # What the archiver asks only now and then, its restart asks at once.
    df(farm, room(farm, **{"1": 10**9, "2": 10**9}))
    farm.kill("archiver", signal.SIGTERM)
    eventually(lambda: transfers(farm), "the plot is on its way", 40)
    before = transfers(farm)
    for session in before:
        os.killpg(session, signal.SIGSTOP)  # so that it is not over before the next archiver is there
    # After a SIGKILL the same would happen a minute later, when the move counts as lost.
    farm.kill("archiver", signal.SIGTERM)
    found = eventually(
        lambda: (seen := archiver(farm)) and seen.target and seen.target.elsewhere, "it is found again", 20
    )
    assert "rsync (pid" in found
    assert transfers(farm) <= before, "no second one beside it"
    for session in before:
        os.killpg(session, signal.SIGCONT)

    eventually(lambda: not list(farm.folder.glob("dst/*/*")), "the source is deleted", 60)
    landed = {plot.name: plot.read_bytes() for plot in Path(farm.folder / "drives").glob("*/*.plot")}
    assert landed == content
    assert len(list(farm.folder.glob("drives/*/*"))) == 1, "once, and nothing else"
    eventually(lambda: not farm.board().moves([HOST]), "no move is left")
    told = eventually(lambda: farm.events("archived"), "it is told")
    assert [event.text.split()[0] for event in told] == [plot.name]
    assert f"{farm.folder}/drives/2" in farm.run("dirs").stdout
