from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import PlotmanError
from plotman.supervisor.locks import InstanceLock, ProcessRecord, record_of, stop_left_over


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "100"])
    yield process
    process.kill()
    process.wait()


def record(process: subprocess.Popen[bytes]) -> ProcessRecord:
    found = record_of("sleeper", process.pid)
    assert found
    return found


def test_a_second_supervisor_of_a_state_folder_learns_who_holds_it(tmp_path: Path) -> None:
    claim = InstanceLock(tmp_path)
    with pytest.raises(PlotmanError, match=f"already runs for {tmp_path} .pid {os.getpid()}"):
        InstanceLock(tmp_path)
    claim.release()
    InstanceLock(tmp_path).release()


def test_what_a_killed_supervisor_left_is_found_and_stopped(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    killed = InstanceLock(tmp_path)
    killed.record([record(sleeper)])
    killed.release()

    claim = InstanceLock(tmp_path)
    left_over = claim.left_over()
    assert [entry.pid for entry, _ in left_over] == [sleeper.pid]
    stop_left_over(left_over)
    sleeper.wait()
    assert claim.left_over() == []
    claim.release()


def test_one_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    deaf = "trap '' TERM; echo set; while :; do sleep 0.1; done"
    stubborn = subprocess.Popen(["sh", "-c", deaf], stdout=subprocess.PIPE)
    assert stubborn.stdout and stubborn.stdout.readline() == b"set\n"
    process = record(stubborn).process()
    assert process
    stop_left_over([(record(stubborn), process)], timeout_s=0.3)
    assert not process.is_running()
    stubborn.wait()


def test_a_pid_that_is_somebody_elses_by_now_is_left_alone(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    ours = record(sleeper)
    claim = InstanceLock(tmp_path)
    claim.record([replace(ours, created_s=ours.created_s - 60)])
    assert claim.left_over() == []
    claim.release()


@pytest.mark.parametrize("content", ["", "[", '[{"pid": 1}]', "7"])
def test_a_damaged_record_counts_as_none(tmp_path: Path, content: str) -> None:
    claim = InstanceLock(tmp_path)
    (tmp_path / "up.children.json").write_text(content)
    assert claim.left_over() == []
    claim.release()
