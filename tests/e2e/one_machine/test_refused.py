"""A plot that a harvester refuses stays where it is until a person says otherwise."""

from __future__ import annotations

import json
from pathlib import Path

from common.errors import ExitCode
from common.names import Role
from common.snapshot import FinishedPlot, PlotState
from tests.support.farm import HOST, Farm
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

    source.write_bytes(whole)  # the person has mended it
    said = farm.run("resend", real_plot.name)
    assert said.returncode == 0, said.stderr
    eventually(farm.archived, "the plot is on the drive", 60)
    eventually(lambda: _limit(farm) == 20_000_000, "the archiver keeps to the limit", 15)
    eventually(lambda: not source.exists(), "the source is deleted", 30)


def _limit(farm: Farm) -> int | None:
    snapshot = farm.board().snapshots(Role.ARCHIVER).get(HOST)
    return snapshot.bandwidth_bytes_s if snapshot else -1
