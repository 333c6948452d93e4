"""Jobs of several plots, as of xchplot2: each plot is moved, counted and recorded as it is published.

The program is a stand-in that makes real plot groups of k18 and prints the documented lines; the real one
needs a GPU.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from common.system.plotfile import Verdict, judge_length, read_header
from tests.support.farm import Farm
from tests.support.paths import ROOT
from tests.support.sections import FARMER
from tests.support.waiting import eventually

SECRET = "5ec2e7" * 10
CONTRACT = "xch1q5zs2pg9q5zs2pg9q5zs2pg9q5zs2pg9q5zs2pg9q5zs2pg9q5zsn5pv30"


@pytest.fixture
def batches(farm: Farm) -> Callable[..., None]:
    """Configures a farm whose plotter makes jobs of several plots; `plan` as fake_xchplot2.py takes it."""
    folder = farm.folder / "xchplot2"
    folder.mkdir()
    text = (ROOT / "tests/support/fake_xchplot2.py").read_text(encoding="utf-8")
    program = folder / "xchplot2"
    program.write_text(f"#!{sys.executable} -I\n{text.replace('@ROOT@', str(ROOT))}", encoding="utf-8")
    program.chmod(0o755)

    def configure(plots: int, gpus: int = 0, **plan: Any) -> None:
        (folder / "plan.json").write_text(json.dumps(plan))
        section = {"executable": str(program), "k": 18, "plots_per_job": plots}
        plotting = {"type": "xchplot2", "farmer_pk": FARMER, "pool_contract_address": CONTRACT}
        own = {**plotting, "pool_pk": None, "xchplot2": section, "gpus": gpus}
        limits = {"global_max_jobs": 5, "tmpdir_max_jobs": 5, "tmpdir_stagger_phase_limit": 5}
        farm.configure(tmp=1, dst=1, drives=1, plotting=own, scheduling=limits)
        farm.allow(max(gpus + 1, 1))

    return configure


def go(farm: Farm) -> None:
    (farm.folder / "xchplot2" / "go").touch()


def landed(farm: Farm) -> list[Path]:
    return sorted(farm.folder.glob("drives/1/plot-k18-*.gplot"))


def history(farm: Farm) -> list[dict[str, Any]]:
    """Rows of the history of plots, the oldest first."""
    ran = farm.run("history", "--json")
    assert ran.returncode == 0, ran.stderr
    return sorted(json.loads(ran.stdout)["rows"], key=lambda row: row["ended_at"])


def made(farm: Farm) -> float:
    families = text_string_to_metric_families(farm.run("prometheus").stdout)
    values = {sample.name: sample.value for family in families for sample in family.samples}
    return values["plotman_plots_made_total"]


def job_file(farm: Farm) -> Path:
    (found,) = farm.folder.glob("dst/1/*.tsv")
    return found


def test_each_plot_is_moved_on_as_it_is_published_and_is_a_row_of_the_history(
    farm: Farm, batches: Callable[..., None]
) -> None:
    batches(3, hold=2)
    checked = farm.run("config", "check", str(farm.config))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    farm.up()
    eventually(
        lambda: len(landed(farm)) == 2, "two plots are on their drive while the job makes the third", 90
    )
    (job,) = eventually(farm.jobs, "the job runs")
    assert job.plotter == "xchplot2"
    eventually(lambda: (found := farm.jobs()) and str(found[0].phase) == "1:2", "two of three are done")
    assert farm.jobs()[0].percent >= 66
    assert farm.jobs()[0].dst_to_come_bytes < 1_000_000, "room is kept for one more"
    keys = job_file(farm).read_bytes()
    assert SECRET.encode() in keys
    eventually(lambda: len(history(farm)) == 2, "two rows")
    go(farm)
    eventually(lambda: len(landed(farm)) == 3, "all are on their drive", 60)
    for plot in landed(farm):
        assert judge_length(plot, read_header(plot)).verdict is Verdict.COMPLETE
    eventually(lambda: farm.events("plot-done"), "the job is done")
    rows = eventually(lambda: len(found := history(farm)) == 3 and found, "three rows")
    assert {row["end"] for row in rows} == {"done"}
    assert {row["plot_id"] for row in rows} == {plot.stem.rpartition("-")[2] for plot in landed(farm)}
    for before, row in pairwise(rows):
        assert row["started_at"] == before["ended_at"], "each is counted from the one before"
    assert all(row["size_bytes"] for row in rows)
    assert len(farm.events("plot-made")) == 2
    assert made(farm) == 3
    result = farm.result(farm.events("plot-done")[0].task_id)["result"]
    assert [plot["plot_id"] for plot in result["plots"]] == [row["plot_id"] for row in rows]
    assert job_file(farm).read_bytes() == keys
    _is_told_nowhere(farm)


def test_a_job_survives_its_worker_and_counts_no_plot_twice(farm: Farm, batches: Callable[..., None]) -> None:
    batches(3, hold=2)
    farm.up()
    eventually(lambda: len(history(farm)) == 2, "two plots are recorded", 90)
    pid = farm.jobs()[0].pid
    former = farm.kill("plotter")
    eventually(
        lambda: farm.pids().get("plotter", former) != former and farm.jobs(), "another worker takes over", 60
    )
    assert farm.jobs()[0].pid == pid
    go(farm)
    eventually(lambda: farm.events("plot-done"), "the job is done", 60)
    rows = eventually(lambda: len(found := history(farm)) == 3 and found, "three rows")
    assert {row["end"] for row in rows} == {"done"}
    eventually(lambda: made(farm) == 3, "three plots are counted")


def test_a_plot_that_fails_is_a_row_with_its_reason_beside_the_others(
    farm: Farm, batches: Callable[..., None]
) -> None:
    batches(3, fail=[1])
    farm.up()
    (failed,) = eventually(lambda: farm.events("plot-failed"), "the job has failed", 90)
    assert "after 2 plots: plot 1: CUDA error: out of memory" in failed.text
    rows = eventually(lambda: len(found := history(farm)) == 3 and found, "three rows")
    assert sorted(row["end"] for row in rows) == ["done", "done", "failed"]
    assert made(farm) == 2
    eventually(lambda: len(landed(farm)) == 2, "both are on their drive", 60)
    assert list(farm.folder.glob("dst/1/*.partial.*")), "its unfinished file is left to its owner"


def test_a_job_that_is_asked_to_end_makes_the_plot_in_flight_and_has_not_failed(
    farm: Farm, batches: Callable[..., None]
) -> None:
    batches(5, hold=2)
    farm.up()
    eventually(lambda: len(landed(farm)) == 2, "two plots are on their drive", 90)
    os.kill(farm.jobs()[0].pid, signal.SIGTERM)
    (done,) = eventually(lambda: farm.events("plot-done"), "the job is done")
    assert done.text.startswith("2 plots done in ")
    assert made(farm) == len(history(farm)) == 2


def test_a_kill_ends_it_at_once_and_touches_no_plot_and_no_keys(
    farm: Farm, batches: Callable[..., None]
) -> None:
    batches(3, hold=1)
    farm.up()
    eventually(lambda: len(landed(farm)) == 1, "one plot is on its drive", 90)
    job = farm.jobs()[0]
    keys = job_file(farm).read_bytes()
    killed = farm.run("kill", f"{job.task_id}", "--yes")
    assert killed.returncode == 0, killed.stdout + killed.stderr
    eventually(lambda: not psutil.pid_exists(job.pid), "its process has ended")
    rows = eventually(lambda: len(found := history(farm)) == 2 and found, "two rows")
    assert sorted(row["end"] for row in rows) == ["done", "killed"]
    assert made(farm) == 1
    assert job_file(farm).read_bytes() == keys
    assert len(landed(farm)) == 1


def test_each_job_has_a_gpu_of_its_own_also_for_a_worker_without_records(
    farm: Farm, batches: Callable[..., None]
) -> None:
    batches(1, gpus=2, hold=0)
    farm.up()
    eventually(lambda: sorted(job.gpu or "" for job in farm.jobs()) == ["0", "1"], "two jobs", 90)
    eventually(lambda: farm.waits().get("gpus") == "GPU jobs 2/2", "the third waits for a GPU")
    gpu_of = {job.pid: job.gpu for job in farm.jobs()}
    for pid, gpu in gpu_of.items():
        assert psutil.Process(pid).environ()["CUDA_VISIBLE_DEVICES"] == gpu
    former = farm.kill("plotter")
    for record in (farm.state / "jobs").glob("*.json"):
        record.unlink()
    eventually(lambda: farm.pids().get("plotter", former) != former, "another worker takes over", 60)
    at = farm.plotter().at
    eventually(lambda: farm.plotter().at > at and len(farm.jobs()) == 2, "it has found both", 60)
    assert {job.pid: job.gpu for job in farm.jobs()} == gpu_of
    assert "gpus" in farm.waits()
    go(farm)
    eventually(lambda: len(landed(farm)) == 3, "the third follows", 90)


def _is_told_nowhere(farm: Farm) -> None:
    """Neither the keys nor their file are in any log, or on the board."""
    for log in (*farm.logs.rglob("*.log"), *farm.state.rglob("*.log"), farm.folder / "up.log"):
        assert SECRET not in log.read_text(errors="replace"), log
    for path in farm.state.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path
    assert not list(farm.folder.glob("drives/**/*.tsv"))
