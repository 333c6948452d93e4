"""A plot that a harvester refuses, or took along, stays where it is until an operator decides."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
from pathlib import Path

import pytest

from common.errors import ExitCode
from common.model.snapshot import FinishedPlot, PlotState
from common.names import Role
from common.system.delivered import DeliveredFile
from tests.support import formats
from tests.support.farm import HOST, Farm
from tests.support.installed import from_wheel
from tests.support.waiting import eventually


def test_a_refused_plot_is_told_of_kept_and_sent_again_only_on_a_persons_word(
    farm: Farm, real_plot: Path
) -> None:
    farm.configure(tmp=1, dst=1, drives=1)
    farm.allow(0)
    whole = real_plot.read_bytes()
    damaged = bytearray(whole)
    for at in range(10_000, len(damaged), 3_000):
        damaged[at] ^= 0xFF
    source = farm.folder / "dst" / "1" / real_plot.name
    source.write_bytes(damaged)
    farm.up()

    def state() -> FinishedPlot | None:
        plots = farm.plotter().plots
        return plots[0] if plots and plots[0].state is PlotState.REFUSED else None

    refused = eventually(state, "the plot is refused", 60)
    assert refused.reason
    assert farm.archived() == []
    eventually(lambda: farm.events("refused"), "it is told")
    log = (farm.state / "logs" / "harvester.log").read_text(encoding="utf-8")
    assert f"{source} was refused by {HOST}: " in log
    assert "Traceback" not in log, "what befalls a plot is no bug"

    assert farm.run("resend", "ffff").returncode == ExitCode.NOTHING
    # A limit holds for what is sent from now on.
    answers = json.loads(farm.run("bandwidth", "20M", "--host", HOST, "--json").stdout)["answers"]
    assert [(one["host"], "20.0 MB/s" in one["answer"], one["error"]) for one in answers] == [
        (HOST, True, None)
    ]

    source.write_bytes(whole)  # the operator has mended it
    said = farm.run("resend", real_plot.name)
    assert said.returncode == 0, said.stderr
    eventually(farm.archived, "the plot is on the drive", 60)
    eventually(lambda: _limit(farm) == 20_000_000, "the archiver keeps to the limit", 15)
    eventually(lambda: not source.exists(), "the source is deleted", 30)


@pytest.mark.parametrize("foreign", ["zeroed tail", "shorter"])
def test_another_file_of_the_plots_name_on_the_drive_keeps_the_source_until_it_is_moved_away(
    farm: Farm, real_plot: Path, foreign: str
) -> None:
    farm.configure(tmp=1, dst=1, drives=1)
    farm.allow(0)
    whole = real_plot.read_bytes()
    drive = farm.folder / "drives" / "1"
    bad = formats.differing(whole)[foreign]
    (drive / real_plot.name).write_bytes(bad)
    source = Path(shutil.copy(real_plot, farm.folder / "dst" / "1"))
    farm.up()

    def state() -> FinishedPlot | None:
        return next((plot for plot in farm.plotter().plots if plot.state is PlotState.REFUSED), None)

    eventually(state, "the plot is refused", 60)
    why = farm.run("why", real_plot.name).stdout
    assert f"{drive / real_plot.name} exists and is not the plot that is to come" in why
    assert "The source is kept" in why
    assert "delete" not in why
    assert source.read_bytes() == whole
    assert (drive / real_plot.name).read_bytes() == bad

    (drive / real_plot.name).rename(drive / "bad")
    said = farm.run("resend", real_plot.name)
    assert said.returncode == 0, said.stderr
    eventually(lambda: not source.exists(), "the source is deleted", 60)
    assert (drive / real_plot.name).read_bytes() == whole


def test_a_copy_that_somebody_put_on_the_drive_is_compared_and_the_source_goes(
    farm: Farm, real_plot: Path
) -> None:
    farm.configure(tmp=1, dst=1, drives=1)
    farm.allow(0)
    drive = farm.folder / "drives" / "1"
    inode = Path(shutil.copy(real_plot, drive)).stat().st_ino
    source = Path(shutil.copy(real_plot, farm.folder / "dst" / "1"))
    farm.up()

    eventually(lambda: not source.exists(), "the source is deleted", 60)
    assert (drive / real_plot.name).stat().st_ino == inode
    (event,) = farm.events("archived")
    assert event.text.endswith("all bytes compared with the source")


def test_a_plot_that_a_lost_harvester_may_have_goes_to_another_only_on_a_persons_word(
    farm: Farm, real_plot: Path
) -> None:
    farm.configure(tmp=1, dst=1, drives=1)
    farm.allow(0)
    source = farm.folder / "dst" / "1" / real_plot.name
    shutil.copy(real_plot, source)
    DeliveredFile(farm.state).put(str(source), "gone1")
    farm.up()

    waits = "harvester gone1, which may have this plot already, does not report"
    eventually(lambda: farm.waits().get("its copy") == waits, "it waits, and says why", 60)
    assert "`plotman resend " in farm.run("why", real_plot.name).stdout
    told = "it is farmed twice: then delete it there"

    unasked = farm.run("resend", real_plot.name)
    assert (unasked.returncode, told in unasked.stderr) == (ExitCode.USAGE, True)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        from_wheel("plotman", "resend", real_plot.name),
        env=farm.environment, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as asking:  # fmt: skip
        os.write(ours, b"n\n")
        _, asked = asking.communicate(timeout=30)
    os.close(ours)
    os.close(theirs)
    assert (asking.returncode, told in asked, "Nothing was done." in asked) == (ExitCode.FAILED, True, True)
    assert DeliveredFile(farm.state).harvester_of(str(source)) == "gone1"
    assert farm.archived() == []

    said = farm.run("resend", real_plot.name, "--yes")
    assert (said.returncode, told in said.stderr) == (0, True), said.stderr
    eventually(farm.archived, "the plot is on the drive", 60)
    eventually(lambda: not source.exists(), "the source is deleted", 30)


def _limit(farm: Farm) -> int | None:
    snapshot = farm.board().snapshots(Role.ARCHIVER).get(HOST)
    return snapshot.bandwidth_bytes_s if snapshot else -1
