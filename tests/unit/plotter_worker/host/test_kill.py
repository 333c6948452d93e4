"""Which files a kill deletes: the job's own, and never those of another that works in the same directory."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.model.snapshot import Event
from plotter_worker.host import kill as killing
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.records import JobRecord
from plotter_worker.plotters.registry import plotter_for
from plotter_worker.processes.table import identity, is_running
from plotter_worker.reporting.events import PlotterEvents

# plotter -> scratch files whose names say nothing of their plot
SCRATCH = {
    "bladebit": ("t1_0.tmp", "map2_0.tmp", "y0_0.tmp", "table_l_2.tmp"),
    "madmax": ("cuda_plot_tmp2_17.tmp",),  # Gigahorse
}


class Silent:
    """An outlet that keeps nothing."""

    def changed(self) -> None: ...
    def progressed(self) -> None: ...
    def tell(self, event: Event) -> None: ...
    def publish_now(self) -> None: ...


@dataclass
class Machine:
    """Two directories, and jobs whose processes sleep."""

    tmp: Path
    dst: Path
    children: list[subprocess.Popen[bytes]]

    def job(self, plotter: str, tmp: Path, number: int) -> TrackedJob:
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        self.children.append(child)
        record = JobRecord(
            task_id=f"t{number}",
            plotter=plotter,
            ours=True,
            accepted_at=datetime.now(UTC),
            argv=(),
            tmp=str(tmp),
            dst=str(self.dst),
            process=identity(child.pid),
        )
        return TrackedJob(record, plotter_for(plotter), None)

    def kill(self, job: TrackedJob, running: list[TrackedJob]) -> None:
        folders = [str(self.tmp), str(self.dst)]
        killing.terminate(job, "a person", folders, lambda: running, PlotterEvents("p1", Silent()))
        assert job.record.process is not None
        assert not is_running(job.record.process)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setattr(killing, "_SEEN_S", 0.0)  # no watcher sees the end here
    made = Machine(tmp_path / "tmp", tmp_path / "dst", [])
    made.tmp.mkdir()
    made.dst.mkdir()
    yield made
    for child in made.children:
        child.kill()
        child.wait()


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
    assert other.record.process is not None
    assert is_running(other.record.process)


def test_a_job_of_another_plotter_or_in_another_directory_shares_nothing(
    machine: Machine, plotter: str, scratch: list[Path]
) -> None:
    job = machine.job(plotter, machine.tmp, 1)
    elsewhere = machine.job(plotter, machine.dst, 2)
    of_another = machine.job("chia", machine.tmp, 3)
    machine.kill(job, [job, elsewhere, of_another])
    assert not any(file.exists() for file in scratch)


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
