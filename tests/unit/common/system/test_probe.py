"""Looks at directories, some of which hang."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.model.snapshot import DirState
from common.system.probe import Hanging, Probe, look
from tests.support.waiting import eventually


@pytest.fixture
def probe() -> Iterator[Probe]:
    probe = Probe()
    yield probe
    probe.close()


@pytest.fixture
def dead_drive() -> Iterator[threading.Event]:
    """Work that hangs until the test is over."""
    back = threading.Event()
    yield back
    back.set()


def test_a_directory_is_told_with_what_a_plain_user_may_still_write(probe: Probe, tmp_path: Path) -> None:
    figures = os.statvfs(tmp_path)

    report = probe.look(tmp_path)

    assert report.state is DirState.OK
    assert report.total_bytes == figures.f_blocks * figures.f_frsize
    assert report.free_bytes == pytest.approx(figures.f_bavail * figures.f_frsize, rel=0.05)
    assert report.device == f"{os.major(tmp_path.stat().st_dev)}:{os.minor(tmp_path.stat().st_dev)}"


def test_what_is_missing_has_no_free_space(probe: Probe, tmp_path: Path) -> None:
    report = probe.look(tmp_path / "nope")

    assert report.state is DirState.MISSING
    assert report.free_bytes is None


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert look(tmp_path / "file").state is DirState.MISSING


def test_figures_of_the_disk_beneath_are_not_told_for_a_drive_that_is_not_mounted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("common.system.probe.is_mounted", lambda *_: False)

    assert look(tmp_path, must_be_mounted=True).state is DirState.NOT_MOUNTED
    assert look(tmp_path, must_be_mounted=True).free_bytes is None
    assert look(tmp_path).state is DirState.OK


def test_a_directory_that_may_not_be_written_is_read_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)

    assert look(tmp_path).state is DirState.READ_ONLY


def test_a_hanging_drive_is_said_to_hang_within_the_deadline(
    probe: Probe, dead_drive: threading.Event
) -> None:
    begun_s = time.monotonic()

    with pytest.raises(Hanging, match="/dead does not answer"):
        probe.run("/dead", lambda: dead_drive.wait(60), deadline_s=0.1)

    assert time.monotonic() - begun_s < 5


def test_who_asks_a_drive_that_hangs_already_is_told_at_once(
    probe: Probe, dead_drive: threading.Event
) -> None:
    with pytest.raises(Hanging):
        probe.run("/dead", lambda: dead_drive.wait(60), deadline_s=0.05)
    begun_s = time.monotonic()

    assert probe.look("/dead", deadline_s=30).state is DirState.HANGING
    assert time.monotonic() - begun_s < 5


def test_a_hanging_drive_keeps_nobody_from_the_others(
    probe: Probe, dead_drive: threading.Event, tmp_path: Path
) -> None:
    with pytest.raises(Hanging):
        probe.run("/dead", lambda: dead_drive.wait(60), deadline_s=0.05)

    seen = probe.look_all(["/dead", tmp_path])

    assert seen["/dead"].state is DirState.HANGING
    assert seen[str(tmp_path)].state is DirState.OK


def test_many_hanging_drives_take_one_deadline_and_keep_nobody_from_the_last(
    probe: Probe, dead_drive: threading.Event
) -> None:
    dead = [f"/dead/{number}" for number in range(200)]
    begun_s = time.monotonic()

    answers = probe.run_all([*dead, "/well"], lambda path: path == "/well" or dead_drive.wait(60), 0.5)

    assert time.monotonic() - begun_s < 3
    assert answers.pop("/well") is True
    assert all(isinstance(answer, Hanging) for answer in answers.values())


def test_slow_drives_are_asked_at_the_same_time(probe: Probe) -> None:
    slow = [f"/slow/{number}" for number in range(40)]
    begun_s = time.monotonic()

    def look_slowly(path: str) -> str:
        time.sleep(0.3)
        return path

    assert probe.run_all(slow, look_slowly, 30) == {path: path for path in slow}
    assert time.monotonic() - begun_s < 40 * 0.3 / 2


def test_threads_that_many_slow_drives_needed_end_with_them(probe: Probe) -> None:
    before = threading.active_count()

    probe.run_all(map(str, range(40)), lambda _: time.sleep(0.3), 30)
    probe.run_all(map(str, range(40)), lambda path: path, 30)

    eventually(lambda: threading.active_count() <= before + 2, "all but the two that wait for the next")


def test_work_at_one_path_is_done_one_after_the_other(probe: Probe, tmp_path: Path) -> None:
    at_work, most = 0, 0

    def work() -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        time.sleep(0.05)
        at_work -= 1

    askers = [threading.Thread(target=lambda: probe.run(tmp_path, work, 30)) for _ in range(8)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()

    assert most == 1


def test_a_drive_that_comes_back_answers_again(
    probe: Probe, dead_drive: threading.Event, tmp_path: Path
) -> None:
    with pytest.raises(Hanging):
        probe.run(tmp_path, lambda: dead_drive.wait(60), deadline_s=0.05)

    dead_drive.set()

    deadline_s = time.monotonic() + 10
    while probe.look(tmp_path).state is DirState.HANGING:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    assert probe.look(tmp_path).state is DirState.OK


def test_slow_work_ahead_is_waited_for_as_long_as_its_own_deadline_holds(
    probe: Probe, tmp_path: Path
) -> None:
    begun = threading.Event()

    def slow() -> None:
        begun.set()
        time.sleep(0.4)

    worker = threading.Thread(target=lambda: probe.run(tmp_path, slow, deadline_s=30))
    worker.start()
    begun.wait(10)

    assert probe.look(tmp_path, deadline_s=0.2).state is DirState.OK
    worker.join()


def test_errors_of_the_work_are_raised_where_it_was_asked_for(probe: Probe, tmp_path: Path) -> None:
    def fail() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        probe.run(tmp_path, fail, deadline_s=5)
