"""Which files a kill deletes: the job's own, and never those of another that works in the same directory."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from common.errors import OrderRefused
from common.system.probe import Hanging
from plotter_worker.host import kill as killing
from plotter_worker.jobs import process_tree
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.records import JobRecord, Outcome
from plotter_worker.plotters.registry import plotter_for
from plotter_worker.processes.table import identity, is_running
from plotter_worker.reporting.events import PlotterEvents
from tests.support.paths import LOGS
from tests.unit.plotter_worker.builders import Sink

# plotter -> scratch files whose names say nothing of their plot
SCRATCH = {
    "bladebit": ("t1_0.tmp", "map2_0.tmp", "y0_0.tmp", "table_l_2.tmp"),
    "madmax": ("cuda_plot_tmp2_17.tmp",),  # Gigahorse
}


@dataclass
class Machine:
    """Two directories, and jobs whose processes sleep."""

    tmp: Path
    dst: Path
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)
    sink: Sink = field(default_factory=Sink)

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

    def terminate(self, job: TrackedJob, running: list[TrackedJob]) -> killing.Killed:
        folders = [str(self.tmp), str(self.dst)]
        return killing.terminate(job, "an operator", folders, lambda: running, PlotterEvents("p1", self.sink))

    def kill(self, job: TrackedJob, running: list[TrackedJob]) -> killing.Killed:
        killed = self.terminate(job, running)
        assert not runs(job)
        return killed

    def named_job(self) -> tuple[TrackedJob, list[Path]]:
        """A job whose plot id is known, and its unfinished files in tmp and dst."""
        job = self.job("chia", self.tmp, 1)
        job.reader.feed((LOGS / "chiapos-k18.log").read_bytes().split(b"Starting phase 2")[0])
        name = f"plot-k18-2026-11-22-11-20-{job.progress.plot_id}.plot"
        files = [self.tmp / f"{name}.table1.tmp", self.dst / f"{name}.2.tmp"]
        for file in files:
            file.write_bytes(bytes(8192))
        return job, files


def runs(job: TrackedJob) -> bool:
    assert job.record.process is not None
    return is_running(job.record.process)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setattr(killing, "_SEEN_S", 0.0)  # no watcher sees the end here
    made = Machine(tmp_path / "tmp", tmp_path / "dst")
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


def test_a_kill_deletes_the_jobs_own_files_and_reports_what_that_freed(machine: Machine) -> None:
    job, files = machine.named_job()
    foreign = machine.tmp / files[0].name.replace(str(job.progress.plot_id), "f" * 64)
    finished = machine.tmp / files[0].name.removesuffix(".table1.tmp")
    in_dst = machine.dst / finished.name
    for file in (foreign, finished, in_dst):
        file.write_bytes(bytes(8192))
    freed = sum(file.stat().st_blocks * 512 for file in files)
    killed = machine.kill(job, [job])
    assert killed == killing.Killed(freed_bytes=freed, deleted=2, finished=(str(finished),))
    assert not any(file.exists() for file in files)
    assert all(file.exists() for file in (foreign, finished, in_dst))
    assert machine.sink.kinds == ["plot-killed"]
    assert job.killed_by == "an operator"


def test_files_are_deleted_while_the_processes_stand_still_and_still_exist(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, files = machine.named_job()
    seen = []
    kill = process_tree.kill

    def observed(processes: list[psutil.Process]) -> bool:
        seen.append(([process.status() for process in processes], any(file.exists() for file in files)))
        return kill(processes)

    monkeypatch.setattr(process_tree, "kill", observed)
    machine.kill(job, [job])
    assert seen == [([psutil.STATUS_STOPPED], False)]


def test_a_job_that_has_ended_keeps_its_files(machine: Machine) -> None:
    job, files = machine.named_job()
    job.record = job.record.model_copy(
        update={"outcome": Outcome(succeeded=True, ended_at=datetime.now(UTC))}
    )
    assert machine.terminate(job, [job]) == killing.Killed()
    assert all(file.exists() for file in files)
    assert runs(job)
    assert machine.sink.kinds == []
    assert job.killed_by is None


def test_a_job_whose_processes_ended_unseen_loses_its_files(machine: Machine) -> None:
    job, files = machine.named_job()
    machine.children[0].kill()
    machine.children[0].wait()
    assert machine.kill(job, [job]).deleted == 2
    assert not any(file.exists() for file in files)


def test_a_job_that_may_not_be_signalled_loses_nothing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, files = machine.named_job()

    def denied(process: psutil.Process, number: int) -> None:
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "send_signal", denied)
    with pytest.raises(OrderRefused, match="may not signal pid"):
        machine.terminate(job, [job])
    assert all(file.exists() for file in files)
    assert job.killed_by is None, "its end counts as its own"
    assert machine.sink.kinds == []


def test_processes_that_do_not_end_are_named(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    job, _ = machine.named_job()
    monkeypatch.setattr(process_tree, "kill", lambda processes: False)
    with pytest.raises(OrderRefused, match=f"pid {machine.children[0].pid} was killed and does not end"):
        machine.terminate(job, [job])
    assert machine.sink.kinds == []


def test_what_cannot_be_deleted_or_listed_is_named(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    job, files = machine.named_job()
    files[0].unlink()
    files[0].mkdir()  # deleting a folder as a file fails
    run = killing._probe.run

    def hangs_in_dst(path: str, look: object, deadline_s: float) -> object:
        if path == str(machine.dst):
            raise Hanging(path, "")
        return run(path, look, deadline_s)

    monkeypatch.setattr(killing._probe, "run", hangs_in_dst)
    killed = machine.kill(job, [job])
    assert killed.deleted == 0
    assert killed.freed_bytes == 0
    assert killed.left == (f"{machine.dst} does not answer", f"{files[0]}: Is a directory")
    assert files[1].exists()


def test_a_directory_that_does_not_exist_is_no_trouble_and_an_unreadable_one_is(machine: Machine) -> None:
    job, _ = machine.named_job()
    file = machine.tmp / "file"
    file.touch()
    found = killing.files_of(job, [str(machine.tmp / "nowhere"), str(file), str(machine.tmp)], [job])
    assert found.troubles == (f"{file}: Not a directory",)
    assert len(found.files) == 2, "its own directories are searched as well, each once"


def test_a_file_that_vanishes_meanwhile_is_not_counted(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, files = machine.named_job()
    listed = killing.files_of(job, [], [job])
    files[0].unlink()
    monkeypatch.setattr(killing, "files_of", lambda *_: listed)
    assert machine.kill(job, [job]) == killing.Killed(listed.files[1].allocated_bytes, 1)


def test_two_kills_of_one_job_delete_and_report_once(machine: Machine) -> None:
    job, _ = machine.named_job()
    job.kill_lock.acquire()
    results: list[killing.Killed] = []
    threads = [
        threading.Thread(target=lambda: results.append(machine.terminate(job, [job]))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    job.wait_end(0.05)
    assert results == [], "both wait for the one that holds the job"
    job.record = job.record.model_copy(
        update={"outcome": Outcome(succeeded=False, ended_at=datetime.now(UTC))}
    )
    job.kill_lock.release()
    for thread in threads:
        thread.join(10)
    assert results == [killing.Killed(), killing.Killed()]


def test_a_kill_returns_when_the_watcher_has_seen_the_end(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(killing, "_SEEN_S", 7.0)
    job, _ = machine.named_job()
    waited = []
    monkeypatch.setattr(job, "wait_end", waited.append)
    machine.kill(job, [job])
    assert waited == [7.0]
