from __future__ import annotations

import os
from pathlib import Path

import pytest

from plotman.up.logs import last_lines, open_log


def write(path: Path, text: str, **limits: int) -> None:
    log = open_log(path, **limits)
    os.write(log, text.encode())
    os.close(log)


def test_a_restarted_process_goes_on_in_the_same_log(tmp_path: Path) -> None:
    write(tmp_path / "logs/x.log", "first\n")
    write(tmp_path / "logs/x.log", "second\n")
    assert (tmp_path / "logs/x.log").read_text() == "first\nsecond\n"


def test_a_log_that_grew_too_large_is_put_aside_and_the_oldest_goes(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    for number in range(6):
        write(log, f"life {number} with more than ten bytes\n", rotate_bytes=10, keep=3)
    kept = {path.name: path.read_text().split(" with")[0] for path in tmp_path.iterdir()}
    assert kept == {"x.log": "life 5", "x.log.1": "life 4", "x.log.2": "life 3", "x.log.3": "life 2"}


@pytest.mark.parametrize(
    ("content", "since", "expected"),
    [
        (b"one\n\ntwo\nthree\n", 0, ["two", "three"]),
        (b"old\nnew\n", 4, ["new"]),
        (b"\xff\xfe torn\r\n", 0, ["�� torn"]),
        (b"", 0, []),
        (b"x" * 200_000 + b"\nlast\n", 0, ["x" * (64 * 1024 - 6), "last"]),
    ],
)
def test_the_last_lines_are_those_of_this_life(
    tmp_path: Path, content: bytes, since: int, expected: list[str]
) -> None:
    log = tmp_path / "x.log"
    log.write_bytes(content)
    assert last_lines(log, count=2, since_byte=since) == expected


def test_a_log_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "gone.log") == []
