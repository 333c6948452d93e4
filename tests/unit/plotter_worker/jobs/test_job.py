"""Whom a growing log wakes, and what room a job reserves."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from common.history.rows import End, PlotEnd
from common.model.snapshot import RunStatus
from plotter_worker.directories.monitor import DirectorySurvey, FileSeen
from plotter_worker.jobs import job as jobs
from plotter_worker.jobs.estimate import LearnedPlots, Shown
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.log_reader import Chunk, log_of, read
from plotter_worker.jobs.records import JobRecord, Outcome
from plotter_worker.plotters.base import CommandLine, Mode, SizeEstimate
from plotter_worker.plotters.registry import plotter_for
from plotter_worker.processes.table import identity
from tests.support.paths import LOGS
from tests.support.waiting import eventually
from tests.unit.plotter_worker.builders import job

GB = 10**9


def test_the_task_of_a_plot_is_woken_only_by_lines_that_change_what_it_tells(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    record = JobRecord(
        task_id="t", plotter="chia", ours=True, accepted_at=datetime.now(UTC), argv=(), log=str(log)
    )
    job = TrackedJob(record, plotter_for("chia"), None)
    lines = (LOGS / "chiapos-k18.log").read_bytes().splitlines(keepends=True)
    shown, readers_woken, heard, wakes = set(), 0, 0, 0
    for line in lines:
        with log.open("ab") as file:
            file.write(line)
        assert job.read_log()
        line_seen = job.wait_line(-1, 0)
        job.log_grew()
        shown.add((job.progress.phase, round(job.progress.percent)))
        readers_woken += job.wait_line(-1, 0) > line_seen
        wakes += job.wait_change(-1, 0) > heard
        heard = job.wait_change(-1, 0)
    assert readers_woken == len(lines), "who reads the log reads each line"
    assert len(shown) <= wakes < len(lines) / 3, "not one state is missed, and few lines make one"
    before = job.wait_change(-1, 0)
    job.changed()
    assert job.wait_change(before, 5) > before, "its end, and a word to stop, wake the task"
    job.close_log()


def test_a_job_makes_as_many_plots_as_plotman_asked_for_whatever_its_command_line_seems_to_say() -> None:
    """A packaged plotter may take the number from elsewhere; one plot of three is not the end."""
    record = JobRecord(
        task_id="t", plotter="chia", ours=True, accepted_at=datetime.now(UTC), argv=(), asked=3
    )
    seems_one = CommandLine("chia", k=18, n=1, tmp="/t", dst="/d")

    assert TrackedJob(record, plotter_for("chia"), seems_one).progress.asked == 3
    assert TrackedJob(record, plotter_for("chia"), None).progress.asked == 3
    by_hand = record.model_copy(update={"asked": None})
    assert TrackedJob(by_hand, plotter_for("chia"), seems_one).progress.asked == 1


def test_snapshots_of_several_threads_never_show_a_percent_that_goes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another thread's snapshot ends while the first one is about to keep what it shows."""
    record = JobRecord(task_id="t", plotter="chia", ours=True, accepted_at=datetime.now(UTC), argv=())
    job = TrackedJob(record, plotter_for("chia"), CommandLine("chia", k=18, n=1, tmp="/t", dst="/d"))
    lines = (LOGS / "chiapos-k18.log").read_bytes().splitlines(keepends=True)
    job.reader.feed(b"".join(lines[: len(lines) // 3]))
    job.log_seen = True
    entered, begun, then = threading.Event(), threading.Event(), Shown.then
    later: list[float | None] = []

    def slow(self: Shown, *arguments: Any) -> Shown:
        found = then(self, *arguments)
        if threading.current_thread().name == "slow":
            entered.set()
            begun.wait(5)
            # The other snapshot waits for this one, or, without a lock, ends meanwhile.
            other.join(0.5)
        return found

    def look() -> None:
        later.append(job.snapshot(SizeEstimate(0, 0, 0)).percent)

    monkeypatch.setattr(Shown, "then", slow)
    first, other = threading.Thread(target=look, name="slow"), threading.Thread(target=look)
    first.start()
    assert entered.wait(5)
    job.reader.feed(b"".join(lines[len(lines) // 3 : len(lines) * 2 // 3]))
    other.start()
    begun.set()
    first.join(5)
    other.join(5)
    look()
    before, ahead, now = later
    assert before is not None
    assert ahead is not None
    assert before < ahead
    assert now == ahead


def test_each_plot_of_a_job_takes_its_room_anew_from_its_first_line_on() -> None:
    record = JobRecord(
        task_id="t", plotter="madmax", ours=True, accepted_at=datetime.now(UTC), argv=(), tmp="/t", dst="/d"
    )
    command = CommandLine("madmax", k=32, n=2, tmp="/t", tmp2="/t", dst="/d")
    job = TrackedJob(record, plotter_for("madmax"), command)
    room = plotter_for("madmax").size_estimate(command)
    assert room is not None

    def reserved(tmp_bytes: int, dst_bytes: int) -> tuple[int, int]:
        """Of tmp and dst, when the plot's files take this."""
        plot_id = job.progress.plot_id
        listing = (FileSeen(f"{plot_id}.tmp", tmp_bytes, tmp_bytes),)
        final = (FileSeen(f"{plot_id}.plot", dst_bytes, dst_bytes),)
        job.refresh({"/t": DirectorySurvey(files=listing), "/d": DirectorySurvey(files=final)})
        return to_come()

    def to_come() -> tuple[int, int]:
        notice = job.snapshot(room)
        return notice.tmp_to_come_bytes, notice.dst_to_come_bytes

    first, second = (LOGS / "madmax-k18-n2.log").read_bytes().split(b"Crafting plot 2", 1)
    job.reader.feed(first)
    assert reserved(200 * GB, 0) == (room.tmp_bytes - 200 * GB, room.dst_bytes)
    assert reserved(0, room.dst_bytes) == (room.tmp_bytes - 200 * GB, 0), "what was given back stays so"
    for line in (b"Crafting plot 2" + second).splitlines(keepends=True)[:20]:
        job.reader.feed(line)
        assert to_come() == (room.tmp_bytes, room.dst_bytes), line
    assert reserved(GB, 0) == (room.tmp_bytes - GB, room.dst_bytes)


def test_a_plot_that_does_not_advance_has_no_eta() -> None:
    started = datetime.now(UTC) - timedelta(hours=1)
    record = JobRecord(
        task_id="t", plotter="chia", ours=True, accepted_at=started, started_at=started, argv=(), log="/l"
    )
    job = TrackedJob(record, plotter_for("chia"), None)
    content = (LOGS / "chiapos-k18.log").read_bytes()
    job.reader.feed(content[: len(content) // 2])
    job.log_seen = True
    room = SizeEstimate(0, 0, 0)
    assert job.snapshot(room).eta_s is not None
    job.stall = "no output for 2h"
    assert job.snapshot(room).eta_s is None
    job.stall = None
    job.usage.status = RunStatus.STOPPED
    assert job.snapshot(room).eta_s is None


def _making(path: Path, began_s: float = 0.0) -> TrackedJob:
    """A chiapos plot whose process started `began_s` seconds ago; its log is empty."""
    path.touch()
    started = datetime.now(UTC) - timedelta(seconds=began_s)
    record = JobRecord(
        task_id="t", plotter="chiapos", ours=True, accepted_at=started, started_at=started, argv=(),
        log=str(path), tmp="/t",
    )  # fmt: skip
    return TrackedJob(record, plotter_for("chiapos"), CommandLine("chiapos", k=18))


def _at(job: TrackedJob, second: float) -> None:
    """Set the clock to this second after its start."""
    started = datetime.now(UTC) - timedelta(seconds=second)
    job.record = job.record.model_copy(update={"started_at": started})


def _learned() -> LearnedPlots:
    learned = LearnedPlots()
    values = {
        "host": "p1",
        "plotter": "chiapos",
        "k": 18,
        "tmp": "/t",
        "end": End.DONE,
        "ended_at": datetime.now(UTC),
    }
    steps_s = {"1:1": 10, "2:1": 60, "3:1": 70, "4:1": 90, "5:1": 95, "end": 100}
    learned.add(PlotEnd.model_validate(values | {"key": "t0", "task_id": "t0", "steps_s": steps_s}))
    return learned


def _write(job: TrackedJob, until: bytes) -> None:
    """Write the log up to the line that begins so, and read it."""
    assert job.record.log is not None
    content = (LOGS / "chiapos-k18.log").read_bytes()
    written = Path(job.record.log).stat().st_size
    end = content.index(b"\n", content.index(until)) + 1
    with Path(job.record.log).open("ab") as log:
        log.write(content[written:end])
    job.read_log()


NO_ROOM = SizeEstimate(0, 0, 0)


def test_percent_and_eta_follow_the_hosts_own_plots_between_two_lines_of_the_log(tmp_path: Path) -> None:
    job, learned = _making(tmp_path / "log"), _learned()
    seen = []
    for second, line in (
        (10, b"Computing table 1"),
        (35, None),
        (60, b"Starting phase 2/4"),
        (70, b"Starting phase 3/4"),
    ):
        _at(job, second)
        if line:
            _write(job, line)
        shown = job.snapshot(NO_ROOM, learned)
        assert shown.eta_s is not None
        seen.append((round(shown.percent or 0), round(shown.eta_s)))
    assert seen == [(10, 90), (35, 65), (60, 40), (70, 30)]
    job.close_log()


def test_percent_never_decreases_whatever_is_learned_meanwhile(tmp_path: Path) -> None:
    job = _making(tmp_path / "log")
    _write(job, b"Starting phase 3/4")
    _at(job, 20)
    before = job.snapshot(NO_ROOM).percent
    assert before is not None
    slow = LearnedPlots()
    steps_s = {"1:1": 10, "2:1": 20, "3:1": 30, "4:1": 990, "end": 1000}
    base = {"host": "p1", "plotter": "chiapos", "k": 18, "tmp": "/t", "ended_at": datetime.now(UTC)}
    slow.add(PlotEnd.model_validate(base | {"key": "a", "task_id": "a", "end": End.DONE, "steps_s": steps_s}))
    shown = job.snapshot(NO_ROOM, slow)
    assert shown.percent == before
    assert shown.eta_s is not None
    assert shown.eta_s > 800
    job.close_log()


def test_percent_goes_on_from_what_the_last_worker_showed(tmp_path: Path) -> None:
    # A plot that is faster than the former ones: without the times of its steps, which end with the worker,
    # less of it seems to be made.
    first, learned = _making(tmp_path / "log"), _learned()
    _at(first, 1)
    _write(first, b"Computing table 1")
    _at(first, 20)
    before = first.snapshot(NO_ROOM, learned).percent
    assert before is not None
    kept = first.record_with_percent(first.record)
    assert kept.shown_percent == before
    first.record = kept
    assert first.record_with_percent(kept) is kept, "not written again for less than a percent"
    first.close_log()

    forgetful = TrackedJob(kept.model_copy(update={"shown_percent": 0.0}), first.plotter, first.command)
    forgetful.read_log()
    assert (forgetful.snapshot(NO_ROOM, learned).percent or 0) < before
    second = TrackedJob(kept, first.plotter, first.command)
    second.log_seen = True
    assert second.snapshot(NO_ROOM, learned).percent == before, "also while the log is not read again"
    second.read_log()
    assert second.snapshot(NO_ROOM, learned).percent == before
    _at(second, 40)
    assert (second.snapshot(NO_ROOM, learned).percent or 0) >= before
    forgetful.close_log()
    second.close_log()


def test_the_time_while_it_was_suspended_does_not_count(tmp_path: Path) -> None:
    job, learned = _making(tmp_path / "log"), _learned()
    _write(job, b"Computing table 1")
    now = datetime.now(UTC)
    assert job.record_with_idle_time(now) is job.record
    job.usage.status = RunStatus.STOPPED
    job.record = job.record_with_idle_time(now)
    assert job.record.idle_since == now
    assert job.active_s(now + timedelta(hours=1)) == pytest.approx(0, abs=5), "it stands still"
    assert job.snapshot(NO_ROOM, learned).eta_s is None
    job.usage.status = RunStatus.SLEEPING
    job.record = job.record_with_idle_time(now + timedelta(hours=1))
    assert (job.record.idle_since, job.record.idle_s) == (None, 3600)
    _at(job, 3600 + 20)
    _write(job, b"Starting phase 2/4")
    _at(job, 3600 + 40)
    _write(job, b"Renamed final file")
    assert job.steps_s is not None
    assert job.steps_s["2:0"] == pytest.approx(20, abs=5)
    assert job.steps_s["end"] == pytest.approx(40, abs=5)
    job.close_log()


def test_a_plot_that_waits_for_space_is_idle() -> None:
    waiting = job(plotter="chiapos", log="chiapos-dst-full")
    assert waiting.progress.stalled
    assert waiting.record_with_idle_time(datetime.now(UTC)).idle_since is not None


@pytest.mark.parametrize(("idle_s", "steps_s"), [(0.0, None), (60.0, {})])
def test_steps_that_passed_before_this_worker_saw_the_log_have_no_time(
    idle_s: float, steps_s: object, tmp_path: Path
) -> None:
    late = _making(tmp_path / "log", began_s=600)
    late.record = late.record.model_copy(update={"idle_s": idle_s})
    _write(late, b"Compressing tables 1 and 2")
    assert late.snapshot(NO_ROOM, _learned()).percent == 90, "as far as the next step"
    _write(late, b"Renamed final file")
    assert late.steps_s == steps_s
    late.close_log()


def test_steps_in_the_later_part_of_a_long_log_passed_before_this_worker_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plotter_worker.jobs.job._CHUNK_BYTES", 100)
    late = _making(tmp_path / "log", began_s=600)
    _write(late, b"Compressing tables 1 and 2")
    _write(late, b"Renamed final file")
    assert late.steps_s is None
    late.close_log()


def test_a_plot_that_ends_while_it_is_idle_teaches_no_time_with_the_wait_in_it(tmp_path: Path) -> None:
    late = _making(tmp_path / "log", began_s=600)
    late.record = late.record.model_copy(update={"idle_since": datetime.now(UTC)})
    _write(late, b"Compressing tables 1 and 2")
    _write(late, b"Renamed final file")
    assert late.steps_s == {}
    late.close_log()


def test_the_log_of_a_running_plotter_is_what_it_writes_to_and_not_what_has_its_name(tmp_path: Path) -> None:
    # As logrotate does it with `create`, before this worker started.
    path = tmp_path / "a.log"
    with path.open("wb") as log, subprocess.Popen(["sleep", "60"], stdout=log) as child:
        try:
            log.write((LOGS / "chiapos-k18.log").read_bytes())
            log.flush()
            path.rename(tmp_path / "a.log.1")
            path.touch()
            tracked = job(log_path=path, process=identity(child.pid))
            assert tracked.read_log()
            assert tracked.progress.finished
            found = log_of(tracked)
            assert found.read_bytes() == (tmp_path / "a.log.1").read_bytes()
            tracked.close_log()
        finally:
            child.kill()
    assert found.read_bytes(), "`logs -f` reads it to its end, which is after the plotter's"


def test_a_reader_that_waits_for_lines_reads_the_log_of_a_plotter_that_ends_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.log"
    with path.open("wb") as log, subprocess.Popen(["sleep", "60"], stdout=log) as child:
        tracked = job(log_path=path, process=identity(child.pid))

        def end(seen: int, timeout_s: float) -> int:
            log.write(b"last line")
            log.flush()
            path.unlink()
            child.kill()
            child.wait()
            outcome = Outcome(succeeded=False, ended_at=datetime.now(UTC))
            tracked.record = tracked.record.model_copy(update={"outcome": outcome})
            return seen

        monkeypatch.setattr(tracked, "wait_line", end)
        assert read(log_of(tracked), 0, tracked, 20) == Chunk("last line", 9, ended=True)


def test_a_log_whose_drive_hangs_delays_its_reader_once_and_is_read_when_the_drive_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LOOK_DEADLINE_S", 0.3)
    log = tmp_path / "hangs" / "a.log"
    log.parent.mkdir()
    os.mkfifo(log)  # to open one waits until something writes to it
    first, second = job(log_path=log), job(log_path=log)
    began = time.monotonic()
    assert not first.read_log()
    assert not second.read_log()
    assert time.monotonic() - began < 0.6, "the second does not wait"
    log.rename(log.with_name("fifo"))
    log.write_bytes((LOGS / "chiapos-k18.log").read_bytes())
    os.close(os.open(log.with_name("fifo"), os.O_WRONLY))
    eventually(second.read_log, "the drive answers", 10)
    assert second.progress.finished
    second.close_log()


def test_a_log_that_is_not_in_memory_is_read_from_its_drive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_at_hand(*_: object) -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    log = tmp_path / "a.log"
    log.write_bytes((LOGS / "chiapos-k18.log").read_bytes())
    monkeypatch.setattr(os, "preadv", not_at_hand)
    read = job(log_path=log)
    assert read.read_log()
    assert read.progress.finished
    read.close_log()


@pytest.mark.parametrize(
    ("plotter", "mode", "recorded", "shown"),
    [
        ("xchplot2", Mode.CPU, None, ""),
        ("xchplot2", Mode.CPU, "1", "1"),
        ("bladebit", Mode.CUDA, None, ""),
        ("bladebit", Mode.RAM, None, None),
        ("chia", Mode.CPU, None, None),
    ],
)
def test_which_gpu_a_job_uses_is_unknown_if_none_was_configured_when_it_began(
    plotter: str, mode: Mode, recorded: str | None, shown: str | None
) -> None:
    of_job = job(plotter=plotter, gpu=recorded).record
    made = TrackedJob(of_job, plotter_for(plotter), CommandLine(plotter, mode=mode))
    assert made.snapshot(SizeEstimate(0, 0, 0)).gpu == shown


@pytest.mark.parametrize(("asked", "finished"), [(3, False), (1, True), (None, False)])
def test_how_many_plots_a_job_of_ours_makes_is_known_whatever_its_program_is_called(
    asked: int | None, finished: bool
) -> None:
    made = job(plotter="xchplot2", argv=("my-xchplot2",), asked=asked)
    made.reader.feed(f"/d/plot-k28-{'a' * 64}.gplot\n".encode())
    assert (made.progress.asked, made.progress.finished) == (asked, finished)


def test_a_batch_has_one_percent_for_all_its_plots_and_keeps_room_for_those_to_come(tmp_path: Path) -> None:
    log = tmp_path / "log"
    job = _making(log)
    command = CommandLine("xchplot2", k=28, n=3, tmp="/t", tmp2="/t", dst="/d", cwd="/")
    job = TrackedJob(job.record.model_copy(update={"plotter": "xchplot2"}), plotter_for("xchplot2"), command)
    room = plotter_for("xchplot2").size_estimate(command)
    assert room is not None
    seen = []
    lines = (LOGS / "xchplot2-gplot-n3.log").read_bytes().splitlines(keepends=True)
    for second, line in enumerate(lines, 1):
        with log.open("ab") as file:
            file.write(line)
        _at(job, float(second))
        assert job.read_log()
        shown = job.snapshot(room)
        seen.append((round(shown.percent or 0), shown.dst_to_come_bytes // room.dst_bytes))
    assert [to_come for _, to_come in seen] == [3, 3, 2, 2, 1, 1, 1, 0, 0, 0]
    percents = [percent for percent, _ in seen]
    assert percents == sorted(percents)
    assert percents[0] == 0
    assert 33 <= percents[2] < 66 <= percents[4] < percents[7] == 100
    job.close_log()
