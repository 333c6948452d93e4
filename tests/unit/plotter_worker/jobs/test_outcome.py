"""How a plotter's end is judged, and what is deleted after it."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from common.history.rows import End
from common.model.plot_name import PlotName
from common.system import machine, statefile
from common.system.probe import Hanging
from plotter_worker.jobs import outcome as outcomes
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.outcome import clean_up, died_of_itself, judge_end, make_durable
from plotter_worker.plotters.base import CommandLine
from plotter_worker.processes.table import identity
from tests.support import formats
from tests.support.lacking import lacking
from tests.support.paths import LOGS
from tests.support.plots import write_plot
from tests.support.waiting import eventually
from tests.unit.plotter_worker.builders import job, sleeper

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
OLD_BOOT = "another-boot:11:1"


def ended_process() -> str:
    return f"{machine.boot_id()}:{2**22 - 7}:1"


def test_a_finished_log_is_a_success_with_the_plots_timings() -> None:
    made = job(log="chiapos-k18", process=ended_process(), started_at=AT - timedelta(hours=2))
    outcome = judge_end(made, 0, AT)
    assert (outcome.succeeded, outcome.end, outcome.failed) == (True, End.DONE, False)
    assert outcome.result is not None
    assert outcome.result["plot_id"] == made.progress.plots_done[-1].plot_id
    assert outcome.result["wall_s"] == 7200
    assert outcome.result["started_at"] == (AT - timedelta(hours=2)).isoformat()
    assert list(outcome.result["phase_times_s"]) == ["1", "2", "3", "4"]
    assert [plot["plot_id"] for plot in outcome.result["plots"]] == [outcome.result["plot_id"]]


@pytest.mark.parametrize(
    ("killed_by", "process", "seen", "exit_code", "end", "reason"),
    [
        ("an operator", ended_process(), True, -9, End.KILLED, "Stopped by an operator."),
        ("an operator", OLD_BOOT, True, None, End.KILLED, "Stopped by an operator."),
        (None, OLD_BOOT, True, None, End.LOST, "The machine went down while it ran."),
        (None, ended_process(), False, None, End.UNKNOWN, "is not known: it has no log"),
        (None, ended_process(), True, None, End.FAILED, "exit code unknown"),
        (None, ended_process(), False, 1, End.FAILED, "exited with 1"),
        (None, None, False, 1, End.FAILED, "exited with 1"),
    ],
)
def test_an_end_without_a_plot_has_a_cause(
    killed_by: str | None, process: str | None, seen: bool, exit_code: int | None, end: End, reason: str
) -> None:
    failed = job(process=process)
    failed.record = failed.record.model_copy(update={"killed_by": killed_by})
    failed.log_seen = seen
    outcome = judge_end(failed, exit_code, AT)
    assert (outcome.succeeded, outcome.end, outcome.result) == (False, end, None)
    assert reason in str(outcome.reason)
    assert outcome.failed == (end is not End.UNKNOWN)
    its_own = end is End.FAILED
    assert died_of_itself(failed, outcome) == its_own
    by_hand = job(process=process, ours=False)
    assert not died_of_itself(by_hand, outcome)


@pytest.mark.parametrize(
    ("line", "exit_code", "seen", "cause"),
    [
        ("nice: '/x/chia': No such file or directory", 127, True, "cannot be run: '/x/chia': No such file"),
        ("nice: '/x/chia': Permission denied", 126, True, "cannot be run: '/x/chia': Permission denied"),
        ("nice: '/x/chia': Permission denied", 1, True, "exited with 1"),
        ("nice: '/x/chia': Permission denied", 127, False, "exited with 127"),
        ("chia: not nice", 127, True, "exited with 127"),
    ],
)
def test_a_program_that_cannot_be_run_is_named(line: str, exit_code: int, seen: bool, cause: str) -> None:
    failed = job(process=ended_process())
    failed.reader.feed(f"{line}\n".encode())
    failed.log_seen = seen
    outcome = judge_end(failed, exit_code, AT)
    assert cause in str(outcome.reason)
    assert outcome.tail == line


def test_the_log_decides_where_the_plot_was_moved_on_and_the_file_where_the_log_lost_its_end(
    tmp_path: Path,
) -> None:
    assert outcomes._is_there(str(tmp_path)) is True
    assert outcomes._is_there(str(tmp_path / "moved")) is None


@pytest.mark.parametrize("error", [Hanging("/dst", ""), PermissionError(13, "Permission denied")])
def test_a_file_on_a_drive_that_hangs_or_fails_is_unknown(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> bool:
        raise error

    monkeypatch.setattr(outcomes._probe, "run", fails)
    assert outcomes._is_there("/dst/a.plot") is None


@pytest.fixture
def failed(tmp_path: Path) -> Iterator[TrackedJob]:
    """A failed job of ours, with a file of its own and one of another plot in its tmp directory."""
    made = job(log="chiapos-tmp-full", process=ended_process(), tmp=str(tmp_path))
    assert made.progress.total_s is None
    for plot_id in (made.progress.plot_id, "f" * 64):
        (tmp_path / f"plot-k18-2026-11-22-11-20-{plot_id}.plot.table1.tmp").write_bytes(bytes(8192))
    yield made


def is_daemon() -> bool:
    return threading.current_thread().daemon


def left(folder: Path) -> int:
    return len(list(folder.iterdir()))


def test_a_failed_job_loses_exactly_its_own_files(failed: TrackedJob, tmp_path: Path) -> None:
    freed: list[tuple[TrackedJob, int, bool]] = []
    taken = max(file.stat().st_blocks * 512 for file in tmp_path.iterdir())
    clean_up(failed, ["/nowhere"], lambda of, freed_bytes: freed.append((of, freed_bytes, is_daemon())))
    eventually(lambda: freed, "the file is deleted", 10)
    assert freed == [(failed, taken, True)], "a drive that hangs does not keep the worker from ending"
    assert [file.name.count("f" * 64) for file in tmp_path.iterdir()] == [1]


def test_files_in_all_directories_of_the_host_are_deleted(failed: TrackedJob, tmp_path: Path) -> None:
    other = tmp_path.with_name("other")
    tmp_path.rename(other)
    assert outcomes._clean_up(failed, [str(other)]) > 0
    assert left(other) == 1


def test_a_complete_plot_that_failed_on_its_way_to_dst_keeps_its_files(
    failed: TrackedJob, tmp_path: Path
) -> None:
    failed.reader.feed(b"Total time = 1.234 seconds. CPU (100.0%) Sun Nov 22 11:20:00 2026\n")
    assert failed.progress.total_s is not None
    assert outcomes._clean_up(failed, [str(tmp_path)]) == 0
    assert left(tmp_path) == 2


def test_nothing_is_deleted_while_a_process_of_the_job_runs(failed: TrackedJob, tmp_path: Path) -> None:
    with sleeper() as child:
        failed.record = failed.record.model_copy(update={"process": identity(child.pid)})
        assert outcomes._clean_up(failed, [str(tmp_path)]) == 0
        assert left(tmp_path) == 2
        # After a restart of the machine the same number names another process.
        failed.record = failed.record.model_copy(update={"process": f"another-boot:{child.pid}:1"})
        assert outcomes._clean_up(failed, [str(tmp_path)]) > 0


def test_nothing_is_deleted_of_a_job_that_never_had_a_process(failed: TrackedJob, tmp_path: Path) -> None:
    failed.record = failed.record.model_copy(update={"process": None})
    assert outcomes._clean_up(failed, [str(tmp_path)]) == 0
    assert left(tmp_path) == 2


def test_what_cannot_be_deleted_keeps_no_other_file_and_counts_as_not_freed(
    failed: TrackedJob, tmp_path: Path
) -> None:
    (own,) = tmp_path.glob(f"*{failed.progress.plot_id}*")
    freed_bytes = own.stat().st_blocks * 512
    for number in range(2, 6):
        folder = tmp_path / own.name.replace("table1", f"table{number}")
        folder.mkdir()
    assert outcomes._clean_up(failed, []) == freed_bytes
    assert not own.exists()


def test_a_clean_up_that_frees_nothing_is_not_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed: list[int] = []
    searched = []
    monkeypatch.setattr(outcomes, "_clean_up", lambda job, _: searched.append(job) or 0)
    clean_up(job(), [], lambda _, freed_bytes: freed.append(freed_bytes))
    eventually(lambda: searched, "it was looked for files", 10)
    assert freed == []


def test_finished_plots_and_their_folders_are_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []

    def flush(path: Path) -> None:
        assert is_daemon(), "a drive that hangs does not keep the worker from ending"
        if path.name == "archived.plot":
            raise FileNotFoundError(path)
        if path.name == "broken.plot":
            raise OSError(5, "Input/output error")
        flushed.append(path)

    monkeypatch.setattr(statefile, "make_durable", flush)
    made = judge_end(job(log="chiapos-k18", process=ended_process()), 0, AT)
    assert made.result is not None
    names = ("archived.plot", "broken.plot", "a.plot")
    plots = [{"plot_id": "x", "path": str(tmp_path / name)} for name in names]
    plots.insert(0, {"plot_id": "y", "path": None})  # type: ignore[dict-item]
    make_durable(made.model_copy(update={"result": made.result | {"plots": plots}}))
    eventually(lambda: len(flushed) == 2, "both are flushed", 10)
    assert flushed == [tmp_path / "a.plot", tmp_path]


def wordless(dst: Path, **fields: Any) -> TrackedJob:
    """A job of ours that ended a moment ago, with an empty log, and made k25 plots into `dst`."""
    began = datetime.now(UTC) - timedelta(minutes=5)
    argv = ("chia", "plots", "create", "-k", "25", "-d", str(dst), "-t", "/tmp")
    made = job(process=ended_process(), dst=str(dst), started_at=began, argv=argv, **fields)
    return TrackedJob.of_record(made.record, made.plotter)


def plot_of_just_now(dst: Path, size_bytes: int = 4000) -> str:
    """Write a plot into `dst`; returns its id."""
    path = write_plot(dst, size_bytes)
    os.utime(path)
    return PlotName.parse(path.name).plot_id  # type: ignore[union-attr]


def test_a_whole_plot_in_dst_is_a_success_whatever_the_log_says(tmp_path: Path) -> None:
    plot_id = plot_of_just_now(tmp_path)
    outcome = judge_end(wordless(tmp_path), 1, datetime.now(UTC))
    assert (outcome.end, outcome.reason) == (End.DONE, None)
    assert outcome.result is not None
    assert (outcome.result["plot_id"], outcome.result["k"]) == (plot_id, 25)
    assert Path(outcome.result["path"]).parent == tmp_path


def test_a_plot_whose_id_the_log_has_is_found_by_its_id_alone(tmp_path: Path) -> None:
    plot_of_just_now(tmp_path)
    ended = job(log="chiapos-tmp-full", process=ended_process(), dst=str(tmp_path), started_at=AT)
    assert judge_end(ended, 0, datetime.now(UTC)).end is End.FAILED
    own = write_plot(tmp_path, plot_id=str(ended.progress.plot_id))
    outcome = judge_end(ended, 0, datetime.now(UTC))
    assert outcome.result is not None
    assert outcome.result["path"] == str(own)


@pytest.mark.parametrize(
    "case", ["another job's", "older", "newer", "another k", "short", "zeros", "found", "killed"]
)
def test_a_plot_that_may_be_of_another_job_is_not_taken_for_this_ones(tmp_path: Path, case: str) -> None:
    plot_id = plot_of_just_now(tmp_path)
    (path,) = tmp_path.iterdir()
    ended, now = wordless(tmp_path, ours=case != "found"), datetime.now(UTC)
    if case in ("older", "newer"):
        changed_s = now.timestamp() + (-600 if case == "older" else 60)
        os.utime(path, (changed_s, changed_s))
    elif case == "another k":
        ended = TrackedJob(ended.record, ended.plotter, replace(ended.command, k=32))  # type: ignore[type-var]
    elif case == "short":
        os.truncate(path, 60)
        os.utime(path)
    elif case == "zeros":
        path.write_bytes(path.read_bytes()[:200] + bytes(40_000))
    if case == "killed":
        ended.record = ended.record.model_copy(update={"killed_by": "an operator"})
    others = {plot_id} if case == "another job's" else set()
    assert not judge_end(ended, 0, now, others).succeeded


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A full file system of its own."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], check=False).returncode:
        lacking("the right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_failure_names_each_directory_without_room(tiny: Path, tmp_path: Path) -> None:
    failed = job(process=ended_process(), log_path=tiny / "x.log", tmp=str(tmp_path), dst=str(tmp_path))
    outcome = judge_end(failed, 1, AT)
    assert f" {tiny} is full: " in str(outcome.reason)
    assert str(outcome.reason).count("is full") == 1


def test_a_directory_without_inodes_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs(tmp_path)
    lacks = SimpleNamespace(f_bavail=real.f_bavail, f_frsize=real.f_frsize, f_files=100, f_favail=0)
    monkeypatch.setattr(os, "statvfs", lambda _: lacks)
    failed = job(process=ended_process(), tmp=str(tmp_path))
    assert str(judge_end(failed, 1, AT).reason).endswith(f"{tmp_path} is full: no inode is left.")


@pytest.mark.parametrize("case", ["in dst", "by a link", "elsewhere", "nowhere"])
def test_a_plot_outside_of_dst_is_reported_with_its_place(tmp_path: Path, case: str) -> None:
    dst, other, link = (tmp_path / name for name in ("dst", "other", "link"))
    dst.mkdir()
    other.mkdir()
    link.symlink_to(dst)
    log = (LOGS / "madmax-k18.log").read_bytes()
    former = job(plotter="madmax", log="madmax-k18").progress.plots_done[-1].path
    assert former is not None
    folder = {"in dst": dst, "by a link": link}.get(case, other)
    path = folder / Path(former).name
    if case != "nowhere":
        path.touch()
    made = job(plotter="madmax", process=ended_process(), dst=str(dst), started_at=AT)
    made.reader.feed(log.replace(str(Path(former).parent).encode(), str(folder).encode()))
    made.log_seen = True
    outcome = judge_end(made, 0, AT)
    assert outcome.succeeded
    where = f"written to {path}, which is not in its dst {dst}"
    assert outcome.reason == {
        "elsewhere": f"It was {where}; plotman does not move it.",
        "nowhere": f"By its log it was {where}; it was not found there.",
    }.get(case)


def test_one_plot_in_dst_does_not_complete_a_job_of_several(tmp_path: Path) -> None:
    made = job(plotter="xchplot2", process=ended_process(), started_at=AT, dst=str(tmp_path))
    command = CommandLine("xchplot2", k=18, n=3, dst=str(tmp_path))
    batch = TrackedJob(made.record, made.plotter, command)
    plot = formats.make_group(tmp_path)
    os.utime(plot, (AT.timestamp(), AT.timestamp()))
    batch.reader.feed(f"{plot}\n[batch] plot 1 FAILED (GPU): no memory\n".encode())
    outcome = judge_end(batch, 3, AT)
    assert (outcome.succeeded, outcome.end) == (False, End.FAILED)
    alone = TrackedJob(made.record, made.plotter, replace(command, n=1))
    assert judge_end(alone, 3, AT).succeeded, "it would complete a job of one"
