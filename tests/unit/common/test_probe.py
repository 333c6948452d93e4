"""Looks at directories, some of which hang."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.probe import Hanging, Probe, look
from common.snapshot import DirState


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
    monkeypatch.setattr("common.probe.is_mounted", lambda path: False)

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
