"""Scratch files whose names say nothing of their plot: a kill deletes those that no other job can own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.plotter_worker.builders import Machine, runs

# plotter -> scratch files whose names say nothing of their plot
SCRATCH = {
    "bladebit": ("t1_0.tmp", "map2_0.tmp", "y0_0.tmp", "table_l_2.tmp"),
    "madmax": ("cuda_plot_tmp2_17.tmp",),  # Gigahorse
}


@pytest.fixture(params=sorted(SCRATCH))
def plotter(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def scratch(machine: Machine, plotter: str) -> list[Path]:
    files = [machine.tmp / name for name in SCRATCH[plotter]]
    for file in files:
        file.write_bytes(bytes(1000))
    return files


def test_a_job_alone_in_its_directory_loses_its_scratch(
    machine: Machine, plotter: str, scratch: list[Path]
) -> None:
    job = machine.job(plotter, machine.tmp, 1)
    machine.kill(job, [job])
    assert not any(file.exists() for file in scratch)


@pytest.mark.parametrize("where", ["tmp", "tmp2", "dst"])
def test_the_scratch_of_another_running_job_of_the_same_plotter_stays(
    machine: Machine, plotter: str, scratch: list[Path], where: str
) -> None:
    job = machine.job(plotter, machine.tmp, 1)
    other = machine.job(plotter, machine.dst, 2)
    other.record = other.record.model_copy(update={where: str(machine.tmp)})
    machine.kill(job, [job, other])
    assert all(file.exists() for file in scratch)
    assert runs(other)


def test_a_job_of_another_plotter_or_in_another_directory_shares_nothing(
    machine: Machine, plotter: str, scratch: list[Path]
) -> None:
    job = machine.job(plotter, machine.tmp, 1)
    elsewhere = machine.job(plotter, machine.dst, 2)
    of_another = machine.job("chia", machine.tmp, 3)
    machine.kill(job, [job, elsewhere, of_another])
    assert not any(file.exists() for file in scratch)


def test_scratch_in_a_directory_where_the_job_does_not_work_stays(
    machine: Machine, plotter: str, scratch: list[Path]
) -> None:
    """It is of a plotter that ended, perhaps one that a farmer looks into; `cleanup` is for that."""
    job = machine.job(plotter, machine.dst, 1)
    machine.kill(job, [job])
    assert all(file.exists() for file in scratch)


def test_scratch_in_a_directory_that_is_not_this_hosts_stays(
    machine: Machine, plotter: str, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    files = [theirs / name for name in SCRATCH[plotter]]
    for file in files:
        file.touch()
    job = machine.job(plotter, theirs, 1)
    machine.kill(job, [job])
    assert all(file.exists() for file in files)
