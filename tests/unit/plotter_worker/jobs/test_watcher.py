"""What the watcher reports of real processes and logs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from plotter_worker.jobs import watcher as watching
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.watcher import Watcher
from plotter_worker.processes.table import FoundPlotter, identity
from tests.support.waiting import eventually
from tests.unit.plotter_worker.builders import job


class Listener:
    """Keeps what it hears; raises once if it is to."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, int | None]] = []
        self.lines: list[str] = []
        self.ticks = 0
        self.error: Exception | None = None

    def job_progressed(self, job: TrackedJob) -> None:
        self.lines.append(job.task_id)

    def job_ended(self, job: TrackedJob, exit_code: int | None) -> None:
        self.ended.append((job.task_id, exit_code))
        error, self.error = self.error, None
        if error:
            raise error

    def plotter_found(self, found: FoundPlotter) -> TrackedJob | None:
        return None

    def tick(self) -> None:
        self.ticks += 1


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def watcher(listener: Listener) -> Iterator[Watcher]:
    made = Watcher(listener)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def shell() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Programs of a test; ended at last."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for child in started:
        child.kill()
        child.wait()


def run(shell: list[subprocess.Popen[bytes]], script: str) -> subprocess.Popen[bytes]:
    # No file as its output: that would be taken for its log.
    shell.append(subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL))
    return shell[-1]


def go(child: subprocess.Popen[bytes]) -> None:
    """Let a script pass its `read`."""
    assert child.stdin is not None
    child.stdin.write(b"\n")
    child.stdin.flush()


def test_the_exit_code_of_a_child_is_known_and_that_of_another_process_is_not(
    watcher: Watcher, listener: Listener, shell: list[subprocess.Popen[bytes]]
) -> None:
    ours, other = run(shell, "read x; exit 3"), run(shell, "read x")
    watcher.watch(job("ours", process=identity(ours.pid)), ours)
    watcher.watch(job("other", process=identity(other.pid)))
    for child in (ours, other):
        go(child)
    eventually(lambda: len(listener.ended) == 2, "both ends are seen", 10)
    assert sorted(listener.ended) == [("other", None), ("ours", 3)]


def test_a_process_that_ended_before_or_whose_pid_was_reused_has_ended(
    watcher: Watcher, listener: Listener, shell: list[subprocess.Popen[bytes]]
) -> None:
    ended, reused = run(shell, "exit 0"), run(shell, "read x")
    process = identity(ended.pid)
    ended.wait()
    watcher.watch(job("ended", process=process))
    boot, pid, _ = identity(reused.pid).split(":")
    watcher.watch(job("reused", process=f"{boot}:{pid}:1"))
    eventually(lambda: len(listener.ended) == 2, "both ends are seen", 10)
    assert sorted(listener.ended) == [("ended", None), ("reused", None)]
    assert reused.poll() is None


def test_log_lines_are_reported_as_they_are_written_and_the_last_ones_before_the_end(
    watcher: Watcher, listener: Listener, shell: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    log.touch()
    child = run(shell, f"read x; echo Starting >> {log}; read x; echo Caught plotting error: oh >> {log}")
    watched = job("t")
    watched.record = watched.record.model_copy(update={"process": identity(child.pid), "log": str(log)})
    watcher.watch(watched, child)
    go(child)
    eventually(lambda: listener.lines, "the first line is seen", 10)
    first = watched.offset_bytes
    assert first == log.stat().st_size
    go(child)
    eventually(lambda: listener.ended, "the end is seen", 10)
    assert watched.offset_bytes == log.stat().st_size > first


def test_a_log_that_inotify_does_not_report_is_read_every_few_seconds(
    listener: Listener,
    shell: list[subprocess.Popen[bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "_inotify", lambda: None)
    monkeypatch.setattr(watching, "_SLOW_READ_S", 0.05)
    monkeypatch.setattr(watching, "_SCAN_S", 0.05)
    log = tmp_path / "log"
    log.touch()
    child = run(shell, f"read x; echo line >> {log}; read x")
    watched = job("t")
    watched.record = watched.record.model_copy(update={"process": identity(child.pid), "log": str(log)})
    made = Watcher(listener)
    made.start()
    try:
        made.watch(watched, child)
        go(child)
        eventually(lambda: listener.lines, "the line is seen", 10)
    finally:
        made.stop()


def test_an_error_with_one_job_does_not_stop_the_watch_over_others(
    watcher: Watcher,
    listener: Listener,
    shell: list[subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "_TROUBLE_S", 0.01)
    listener.error = RuntimeError("one job")
    for name in ("first", "second"):
        child = run(shell, "read x; exit 1")
        watcher.watch(job(name, process=identity(child.pid)), child)
        go(child)
        eventually(lambda name=name: (name, 1) in listener.ended, "its end is seen", 10)


def test_it_ticks_and_stops_when_told(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_SCAN_S", 0.01)
    made = Watcher(listener)
    made.start()
    eventually(lambda: listener.ticks > 2, "it ticks", 10)
    made.stop()
    assert not made._thread.is_alive()


def test_no_file_stays_open_after_an_end(
    watcher: Watcher, listener: Listener, shell: list[subprocess.Popen[bytes]]
) -> None:
    def pidfds() -> int:
        return sum("pidfd" in target(fd) for fd in Path("/proc/self/fd").iterdir())

    def target(fd: Path) -> str:
        try:
            return str(fd.readlink())
        except FileNotFoundError:  # the descriptor of the listing itself
            return ""

    child, before = run(shell, "read x"), pidfds()
    watcher.watch(job("t", process=identity(child.pid)), child)
    eventually(lambda: pidfds() == before + 1, "it is watched", 10)
    go(child)
    eventually(lambda: listener.ended and pidfds() == before, "it ended", 10)


def test_a_log_that_cannot_be_understood_hides_neither_its_end_nor_other_jobs(
    watcher: Watcher,
    listener: Listener,
    shell: list[subprocess.Popen[bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def raises(_data: bytes) -> None:
        raise TypeError("a mistake in a plotter's rules")

    children = {}
    for name in ("bad", "good"):
        log = tmp_path / name
        log.write_text("first\n")
        children[name] = run(shell, f"read x; echo second >> {log}; read x")
        watched = job(name)
        watched.record = watched.record.model_copy(
            update={"process": identity(children[name].pid), "log": str(log)}
        )
        if name == "bad":
            monkeypatch.setattr(watched.reader, "feed", raises)
        watcher.watch(watched, children[name])
    eventually(lambda: listener.lines, "the other's first line is seen", 10)
    for child in children.values():
        go(child)
    eventually(lambda: len(listener.lines) > 1, "the other's second line is seen", 10)
    assert set(listener.lines) == {"good"}
    go(children["bad"])
    eventually(lambda: listener.ended, "its end is seen", 10)
    assert listener.ended == [("bad", 0)]
    (told,) = (record for record in caplog.records if record.exc_info)
    assert told.getMessage() == "the log of job bad cannot be understood"
