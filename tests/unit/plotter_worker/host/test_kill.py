"""What a kill ends and deletes: the job's processes and its own files, and nothing else."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import psutil
import pytest

from common.errors import OrderRefused
from common.system.probe import Hanging
from plotter_worker.host import kill as killing
from plotter_worker.jobs import process_tree
from plotter_worker.jobs.records import Outcome
from tests.unit.plotter_worker.builders import Machine, runs


@pytest.mark.parametrize("suffix", ["plot", "gplot"])
def test_a_kill_deletes_the_jobs_own_files_and_reports_what_that_freed(machine: Machine, suffix: str) -> None:
    job, files = machine.named_job()
    foreign = machine.tmp / files[0].name.replace(str(job.progress.plot_id), "f" * 64)
    finished = machine.tmp / files[0].name.replace("plot.table1.tmp", suffix)
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
