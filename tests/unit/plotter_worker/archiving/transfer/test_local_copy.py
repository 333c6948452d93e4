"""A plot is copied to its part on a drive of this machine: whole, resumed, limited, ended; and what fails."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xxhash

from common.errors import TransferFailed
from common.worker.move_step import StepInterrupted, never
from common.worker.pool import StopEvent, StopReason
from plotter_worker.archiving.transfer import local_copy
from plotter_worker.archiving.transfer.local_copy import copy
from plotter_worker.archiving.transfer.progress import TransferProgress
from tests.support.bench import small_drive
from tests.support.waiting import eventually

CHUNK = 1 << 20
CONTENT = os.urandom(3 * CHUNK + 12345)
DIGEST = xxhash.xxh3_128(CONTENT).hexdigest()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.plot"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def part(tmp_path: Path) -> Path:
    path = tmp_path / "drive" / ".incoming" / "a.part"
    path.parent.mkdir(parents=True)
    path.touch()
    return path


@pytest.mark.parametrize(
    ("there", "written_bytes"),
    [
        pytest.param(b"", len(CONTENT), id="an empty part"),
        pytest.param(CONTENT[: 2 * CHUNK], len(CONTENT) - 2 * CHUNK, id="a part that was begun"),
        pytest.param(CONTENT[: CHUNK + 7], len(CONTENT) - CHUNK, id="within a chunk"),
        pytest.param(bytes(2 * CHUNK), len(CONTENT), id="zeros after a power cut"),
        pytest.param(
            CONTENT[: CHUNK + 5] + b"?" + CONTENT[CHUNK + 6 :], len(CONTENT) - CHUNK, id="another byte"
        ),
        pytest.param(CONTENT, 0, id="a full part"),
        pytest.param(CONTENT + b"more", 0, id="more than the plot"),
    ],
)
def test_a_part_becomes_the_plot_and_what_it_has_already_is_not_written_again(
    source: Path, part: Path, there: bytes, written_bytes: int
) -> None:
    part.write_bytes(there)
    inode = part.stat().st_ino
    shown: list[TransferProgress] = []
    sent = copy(source, part, shown.append, never)
    assert (shown[-1].percent, shown[-1].done_bytes, shown[-1].eta_s) == (100, len(CONTENT), None)
    assert part.read_bytes() == source.read_bytes() == CONTENT
    assert (sent.digest, sent.sent_bytes) == (DIGEST, written_bytes)
    assert part.stat().st_ino == inode


def test_the_part_is_flushed_once_it_is_whole(
    source: Path, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[bytes] = []
    monkeypatch.setattr(local_copy.os, "fsync", lambda fd: flushed.append(os.pread(fd, 1 << 30, 0)))
    copy(source, part, lambda _: None, never)
    assert flushed == [CONTENT]


def test_a_limit_holds_while_the_copy_runs_and_may_change(
    source: Path, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_copy, "_REPORT_EVERY_S", 0.0)
    limits: list[float | None] = [1.0]
    shown: list[TransferProgress] = []

    def report(progress: TransferProgress) -> None:
        shown.append(progress)
        if len(shown) == 3:  # 0.6 s, of which each chunk would take 12 days
            limits[0] = None

    assert copy(source, part, report, never, lambda: limits[0]).digest == DIGEST
    assert {progress.done_bytes for progress in shown[:3]} == {CHUNK}
    assert {progress.percent for progress in shown[:3]} == {33}
    assert all(progress.eta_s for progress in shown[:3])


@pytest.mark.parametrize(
    ("reason", "error"), [(StopReason.SHUTDOWN, StepInterrupted), (StopReason.TERMINATED, TransferFailed)]
)
def test_a_copy_ends_when_it_is_asked_to_and_the_next_one_resumes(
    source: Path, part: Path, reason: StopReason, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_copy, "_REPORT_EVERY_S", 0.0)
    stop = StopEvent()
    with pytest.raises(error):
        copy(source, part, lambda _: stop.set(reason), stop, lambda: 1.0)
    assert part.read_bytes() == CONTENT[:CHUNK]
    assert not [thread for thread in threading.enumerate() if thread.name == "copy a.part"]
    assert copy(source, part, lambda _: None, never).sent_bytes == len(CONTENT) - CHUNK


@pytest.mark.parametrize("hangs_at", ["readv", "pwrite", "fsync"])
def test_a_drive_that_hangs_is_left_and_nothing_is_written_once_it_wakes(
    source: Path, part: Path, monkeypatch: pytest.MonkeyPatch, hangs_at: str
) -> None:
    for name in ("LOCAL_TIMEOUT_S", "FLUSH_S", "_GRACE_S"):
        monkeypatch.setattr(local_copy, name, 0.1)
    wakes = threading.Event()
    real: Callable[..., Any] = getattr(os, hangs_at)

    def hang(*arguments: Any) -> Any:
        assert wakes.wait(60)
        return real(*arguments)

    monkeypatch.setattr(local_copy.os, hangs_at, hang)
    with pytest.raises(TransferFailed, match="a drive hangs"):
        copy(source, part, lambda _: None, never)
    wakes.set()
    eventually(lambda: "copy a.part" not in {thread.name for thread in threading.enumerate()}, "it ended")
    assert part.stat().st_size == {"readv": 0, "pwrite": CHUNK, "fsync": len(CONTENT)}[hangs_at]


def test_a_copy_that_a_low_limit_holds_up_is_no_hanging_drive_and_a_slow_drive_is_left(
    source: Path, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_copy, "LOCAL_TIMEOUT_S", 0.5)
    monkeypatch.setattr(local_copy, "STALE_S", 2.0)
    with pytest.raises(TransferFailed, match=r"no further than 1\.0 MB in 2s"):
        copy(source, part, lambda _: None, never, lambda: 1.0)
    monkeypatch.setattr(local_copy, "STALE_S", 0.5)
    assert copy(source, part, lambda _: None, never, lambda: 3e6, lambda: 1e6).digest == DIGEST


def test_a_flush_may_take_longer_than_the_least_rate_allows_for_writing(
    source: Path, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_copy, "STALE_S", 0.1)
    real, polls = os.fsync, threading.Semaphore(0)

    def slow(fd: int) -> None:
        for _ in range(3):
            assert polls.acquire(timeout=60)
        real(fd)

    def poll() -> float:
        polls.release()
        return 1e9

    monkeypatch.setattr(local_copy.os, "fsync", slow)
    assert copy(source, part, lambda _: None, never, slowest=poll).digest == DIGEST


def test_a_part_that_is_gone_or_is_no_file_of_its_own_is_not_written(source: Path, part: Path) -> None:
    def refused(why: str) -> None:
        with pytest.raises(TransferFailed, match=why):
            copy(source, part, lambda _: None, never)

    part.unlink()
    refused("its reservation expired")
    assert not part.exists()
    elsewhere = part.with_name("elsewhere")
    elsewhere.touch()
    part.symlink_to(elsewhere)
    refused("symbolic link")
    part.unlink()
    os.mkfifo(part)
    refused("no regular file")
    part.unlink()
    part.hardlink_to(elsewhere)
    refused("another name")
    part.unlink()
    part.touch()
    part.parent.rename(part.parent.with_name("moved"))
    part.parent.symlink_to("moved")
    refused("symbolic link")
    assert elsewhere.read_bytes() == b""
    assert part.read_bytes() == b""


@pytest.mark.parametrize(
    ("call", "code", "why"),
    [
        ("readv", errno.EIO, r"a\.plot cannot be read \(Input/output error\)"),
        ("pwrite", errno.EIO, r"a\.part cannot be written \(Input/output error\).*full or failing"),
        ("pwrite", errno.ENOSPC, r"a\.part cannot be written \(No space left on device\)"),
        ("fsync", errno.EIO, r"a\.part cannot be written \(Input/output error\)"),
        ("fsync", errno.ESTALE, r"a\.part was removed from its drive"),
        ("open", errno.EACCES, r"a\.part cannot be written.*same user"),
    ],
)
def test_each_failure_names_the_file_and_what_to_do(
    source: Path, part: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int, why: str
) -> None:
    real: Callable[..., Any] = getattr(os, call)

    def fails(*arguments: Any, **options: Any) -> Any:
        if call == "open" and arguments[0] != part.name:
            return real(*arguments, **options)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(local_copy.os, call, fails)
    with pytest.raises(TransferFailed, match=f"(?s){why}"):
        copy(source, part, lambda _: None, never)


def test_a_drive_that_is_full_ends_the_copy(source: Path, tmp_path: Path) -> None:
    with small_drive(tmp_path / "full", "2m"):
        part = tmp_path / "full" / "a.part"
        part.touch()
        with pytest.raises(TransferFailed, match="No space left on device"):
            copy(source, part, lambda _: None, never)


def test_a_source_that_is_gone_is_a_link_or_changes_is_not_taken_for_sent(source: Path, part: Path) -> None:
    def changes() -> None:
        with source.open("r+b") as file:
            file.write(b"!")
        os.utime(source, ns=(0, 0))

    with pytest.raises(TransferFailed, match="was changed while it was read"):
        copy(source, part, lambda _: None, never, changes)  # type: ignore[arg-type]

    def grows() -> None:
        with source.open("ab") as file:
            file.write(bytes(CHUNK))

    with pytest.raises(TransferFailed, match="grew while it was copied"):
        copy(source, part, lambda _: None, never, grows)  # type: ignore[arg-type]
    assert part.stat().st_size <= len(CONTENT)
    source.rename(source.with_name("b.plot"))
    with pytest.raises(TransferFailed, match="cannot be read"):
        copy(source, part, lambda _: None, never)
    source.symlink_to("b.plot")
    with pytest.raises(TransferFailed, match="cannot be read"):
        copy(source, part, lambda _: None, never)
