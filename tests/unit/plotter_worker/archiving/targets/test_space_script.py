"""A disk space script may do anything; what it means for the farmer is always reported."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from common.config.sections import archiving
from plotter_worker.archiving.targets import space
from plotter_worker.archiving.targets.definition import ArchiveTarget
from plotter_worker.archiving.targets.space import SpaceUnknown, TargetSpaceMonitor, ask, read
from tests.support.waiting import eventually

Script = Callable[..., Path]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    def write(text: str, mode: int = 0o755) -> Path:
        path = tmp_path / "space"
        path.write_text(text)
        path.chmod(mode)
        return path

    return write


def told(script: Path, deadline_s: float = 10) -> str:
    with pytest.raises(SpaceUnknown) as raised:
        ask(script, os.environ, deadline_s)
    return str(raised.value)


def test_folders_are_sorted_by_path_with_their_bytes(script: Script) -> None:
    answer = ask(
        script("#!/bin/sh\necho $root/b:2000\necho '/n:a s/a:1'\n"), {"root": "/nas", "PATH": "/bin"}
    )
    assert [(space.path, space.free_bytes) for space in answer.spaces] == [("/n:a s/a", 1), ("/nas/b", 2000)]
    assert answer.problems == ()


@pytest.mark.parametrize("line", ["/x:lots", "/x", ":5", "/x:-5", "/x:1.5", "/x:", "/x:٣"])
def test_a_bad_line_is_reported_and_the_others_count(line: str) -> None:
    spaces, problems = read(f"/a:7\n{line}\n\n/b:8\n".encode())
    assert [space.path for space in spaces] == ["/a", "/b"]
    assert problems[0].startswith("line 2 of the disk space script is not PATH:BYTES: ")


def test_a_path_that_is_not_utf8_is_reported_and_left_out() -> None:
    spaces, problems = read(b"/\xff:7\n")
    assert spaces == ()
    assert "\\xff" in problems[0]


def test_a_folder_that_is_named_twice_has_the_smaller_of_both() -> None:
    assert [space.free_bytes for space in read(b"/a:7\n/a:5\n")[0]] == [5]


def test_a_script_that_exits_1_is_reported_with_its_last_line(script: Script) -> None:
    path = script("#!/bin/sh\necho /a:1\necho ssh: no route to nas >&2\nexit 1\n")
    assert told(path).startswith("disk space script exits 1: ssh: no route to nas.")


def test_a_script_that_is_missing_or_not_executable_is_reported(script: Script, tmp_path: Path) -> None:
    assert f"{tmp_path}/none does not exist" in told(tmp_path / "none")
    assert "has no #! line" in told(script("echo /a:1\n"))
    assert "names a program in its #! line that does not exist" in told(script("#!/no/such/shell\n"))
    if os.geteuid() != 0:
        assert "chmod +x" in told(script("#!/bin/sh\n", 0o644))


@pytest.mark.parametrize("background", ["", " &"])
def test_a_script_that_hangs_ends_with_all_that_it_started(
    script: Script, tmp_path: Path, background: str
) -> None:
    path = script(f"#!/bin/sh\nsleep 600{background}\n")
    before = {child.pid for child in psutil.process_iter()}
    begun_s = time.monotonic()
    assert "did not answer within 0.3 s" in told(path, 0.3)
    assert time.monotonic() - begun_s < 5
    assert {child.pid for child in psutil.Process().children()} <= before
    eventually(lambda: not _sleepers(before), "its sleep is gone", 5)


def _sleepers(before: set[int]) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid not in before and process.cmdline() == ["sleep", "600"]:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def test_the_documented_example_is_read() -> None:
    example = archiving.TargetDefinition.model_fields["disk_space_script"].examples
    assert example and 'echo "/plots:1000000000000"' in example[0]
    assert read(b"/plots:1000000000000\n")[0][0].free_bytes == 10**12


Makes = Callable[..., TargetSpaceMonitor]


@pytest.fixture
def monitor(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Makes]:
    monkeypatch.setattr(space, "_CHECK_EVERY_S", 0.05)
    made: list[TargetSpaceMonitor] = []

    def make(lines: str, every_s: float = 1000, changed: Callable[[], None] = lambda: None) -> Any:
        target = ArchiveTarget(
            name="t",
            ours=None,
            env={},
            index=0,
            space=script(f"#!/bin/sh\n{lines}\n"),
            transfer=Path("/t"),
            process_name="sends",
            argument_prefix="36",
            place="p",
        )
        made.append(TargetSpaceMonitor(target, "us", tmp_path / "disk_spaces.log", changed, 10, every_s))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[psutil.Process]:
    """A transfer that no archiver of ours started."""
    program = tmp_path / "sends"
    shutil.copy(shutil.which("sleep") or "", program)
    pid = int(subprocess.check_output(["sh", "-c", f"{program} 3600 >&- 2>&- & echo $!"]))
    process = psutil.Process(pid)
    eventually(lambda: process.name() == "sends" and process.cmdline(), "it is started")
    yield process
    if process.is_running():
        process.kill()


def test_the_end_of_a_foreign_transfer_is_seen_long_before_the_space_is_asked_for_again(
    monitor: Makes, foreign: psutil.Process, tmp_path: Path
) -> None:
    changes: list[int] = []
    made = monitor(f"echo >> {tmp_path}/asked; echo /a:1", changed=lambda: changes.append(1))
    made.start()
    assert made.report.elsewhere == f"sends (pid {foreign.pid})"
    eventually(lambda: made.report.spaces, "the space is asked for", 10)
    changes.clear()
    foreign.kill()
    eventually(lambda: made.report.elsewhere is None, "its end is seen", 10)
    assert changes
    assert (tmp_path / "asked").read_text() == "\n"


def test_a_monitor_that_is_stopped_asks_no_more(monitor: Makes) -> None:
    made = monitor("echo /a:1")
    made.start()
    eventually(lambda: made.report.spaces, "the space is asked for", 10)
    made.stop()
    eventually(lambda: not made._thread.is_alive(), "its thread has ended", 10)


def test_a_foreign_transfer_is_found_with_each_question(monitor: Makes, foreign: psutil.Process) -> None:
    made = monitor("echo /a:1", every_s=0.1)
    foreign.suspend()
    made._thread.start()
    eventually(lambda: made.report.elsewhere == f"sends (pid {foreign.pid})", "it is found", 10)


def test_while_a_foreign_transfer_runs_the_space_is_asked_for_as_often(
    monitor: Makes, foreign: psutil.Process, tmp_path: Path
) -> None:
    asked = tmp_path / "asked"
    monitor(f"echo >> {asked}; echo /a:1", every_s=0.1).start()
    eventually(lambda: asked.exists() and len(asked.read_text()) > 2, "it is asked for again", 10)
    assert foreign.is_running()


def test_an_answer_that_stays_the_same_is_no_change_and_a_trouble_is_told_once(
    monitor: Makes, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = monitor("echo /a:1; echo /b; echo oh >&2; exit $(cat code)")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "code").write_text("0")
    made.ask()
    made.ask()
    assert caplog.text.count("is not PATH:BYTES") == 1
    assert made.problems == ("Target t: line 2 of the disk space script is not PATH:BYTES: /b",)
    assert (tmp_path / "disk_spaces.log").read_text().count("t: oh") == 2
    (tmp_path / "code").write_text("3")
    for _ in range(2):
        with pytest.raises(SpaceUnknown):
            made.ask()
        assert caplog.text.count("disk space script exits 3: oh") == 1
    assert made.report.spaces == ()
    assert made.problems[1].startswith("target t: disk space script exits 3: oh")
    assert (tmp_path / "disk_spaces.log").read_text().count("t: oh") == 4
    (tmp_path / "code").write_text("0")
    assert made.ask().spaces == made.report.spaces != ()
    assert len(made.problems) == 1


def test_an_error_of_ours_does_not_end_the_thread(
    monitor: Makes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = monitor("echo /a:1", every_s=0.05)
    real, errors = space.ask, [RuntimeError("oh")]

    def fails_once(*about: Any) -> Any:
        if errors:
            raise errors.pop()
        return real(*about)

    monkeypatch.setattr(space, "ask", fails_once)
    made.start()
    eventually(lambda: made.report.spaces, "it is asked for again", 10)
    assert "free space of target t cannot be read" in caplog.text


def test_without_its_log_the_space_is_asked_for_all_the_same(
    monitor: Makes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = tmp_path / "file" / "disk_spaces.log"
    log.parent.touch()
    target = monitor("echo oh >&2; echo /a:1")._target
    made = TargetSpaceMonitor(target, "us", log, lambda: None)
    assert "correct logging.disk_spaces" in caplog.text
    made.ask()
    assert [each.path for each in made.report.spaces] == ["/a"]
