from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plotman.supervisor.logs import empty_log, last_lines, open_log
from tests.support.waiting import eventually

COUNTS = """
import time
for number in range(1_000_000):
    print("line", number, "." * 200, flush=True)
    time.sleep(0.01)
"""


@contextmanager
def counting(log: Path) -> Iterator[None]:
    """A process that writes numbered lines to a descriptor which it inherited."""
    output = open_log(log)
    with subprocess.Popen([sys.executable, "-c", COUNTS], stdout=output) as process:
        os.close(output)
        yield
        process.kill()


def numbers(*logs: Path) -> list[int]:
    """Of the lines in these, in this order; the last may be half written. Fails for any other text."""
    text = "".join(log.read_text() for log in logs)
    return [int(line.removeprefix("line ").removesuffix(" " + "." * 200)) for line in text.split("\n")[:-1]]


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


def test_a_log_is_put_aside_while_its_process_writes_on_at_the_beginning_of_the_emptied_file(
    tmp_path: Path,
) -> None:
    log = tmp_path / "x.log"
    with counting(log):
        for number in (1, 2, 3):
            eventually(lambda: log.stat().st_size > 1000, "it has grown")
            empty_log(log, rotate_bytes=1000, keep=2)
            assert (tmp_path / f"x.log.{min(number, 2)}").exists()
        eventually(lambda: log.stat().st_size > 1000, "it is written on")
    assert {path.name for path in tmp_path.iterdir()} == {"x.log", "x.log.1", "x.log.2"}
    assert log.read_text().startswith("line ")
    found = numbers(tmp_path / "x.log.2", tmp_path / "x.log.1", log)
    assert found[0] > 0  # the oldest was deleted
    assert found == sorted(set(found))
    # One may be lost at each of the two places where they meet, and more only on a busy machine.
    assert found[-1] - found[0] + 1 - len(found) <= 4


def test_what_a_process_writes_while_the_disk_is_slow_is_put_aside_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "x.log"
    write(log, "longer than ten bytes\n")
    monkeypatch.setattr(os, "fsync", lambda _: write(log, "meanwhile\n"))
    empty_log(log, rotate_bytes=10)
    assert (tmp_path / "x.log.1").read_text() == "longer than ten bytes\nmeanwhile\n"
    assert log.read_text() == ""


def test_a_log_that_is_not_too_large_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "x.log", "ten bytes\n")
    empty_log(tmp_path / "x.log", rotate_bytes=10)
    assert [path.name for path in tmp_path.iterdir()] == ["x.log"]
    assert (tmp_path / "x.log").read_text() == "ten bytes\n"


def test_a_full_disk_leaves_the_log_and_those_put_aside_as_they_were(tmp_path: Path) -> None:
    write(tmp_path / "x.log.1", "older\n")
    write(tmp_path / "x.log", "x" * 20_000)
    # What the file system would say of its last byte; the signal of this limit is ignored by Python.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            empty_log(tmp_path / "x.log", rotate_bytes=10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "x.log": "x" * 20_000,
        "x.log.1": "older\n",
    }


@pytest.mark.parametrize("link", ["x.log", "x.log.new", "x.log.1"])
def test_nothing_is_written_through_a_link_that_lies_among_the_logs(tmp_path: Path, link: str) -> None:
    logs, elsewhere = tmp_path / "logs", tmp_path / "elsewhere"
    write(logs / "x.log", "longer than ten bytes\n")
    elsewhere.write_text("longer than ten bytes, too\n")
    (logs / link).unlink(missing_ok=True)
    (logs / link).symlink_to(elsewhere)
    empty_log(logs / "x.log", rotate_bytes=10)
    assert elsewhere.read_text() == "longer than ten bytes, too\n"
    if link != "x.log":
        assert (logs / "x.log").read_text() == ""
        assert not (logs / "x.log.1").is_symlink()
        assert (logs / "x.log.1").read_text() == "longer than ten bytes\n"


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
