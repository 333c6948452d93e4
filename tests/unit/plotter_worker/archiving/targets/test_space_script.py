"""A disk space script may do anything; what it means for the farmer is always reported."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from common.config.sections import archiving
from plotter_worker.archiving.targets.space import SpaceUnknown, ask, read
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
