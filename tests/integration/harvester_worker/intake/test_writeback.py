"""A plot's bytes go to its drive while more of them come."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from common.system.statefile import make_durable
from harvester_worker.drives.disk import forget_cached
from harvester_worker.intake.writeback import Writeback
from tests.support.waiting import eventually

_BLOCK = bytes(1 << 16)


def _in_memory(path: Path) -> bool:
    """Whether the file's beginning can be read without a look at the drive, preadv2(2)."""
    with path.open("rb") as file:
        try:
            return os.preadv(file.fileno(), [bytearray(4096)], 0, os.RWF_NOWAIT) > 0
        except BlockingIOError:
            return False


def _threads(part: Path) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == f"writeback {part}"]


@pytest.fixture
def part(tmp_path: Path) -> Path:
    part = tmp_path / "id.part"
    part.write_bytes(_BLOCK)
    make_durable(part)
    forget_cached(part)
    if _in_memory(part):
        pytest.skip("this file system is in memory")
    part.write_bytes(b"")
    return part


def test_arrived_bytes_are_written_while_the_file_is_open(part: Path) -> None:
    writeback = Writeback(every_s=0.02)
    writeback.watch(part)
    with part.open("ab", buffering=0) as file:
        file.write(_BLOCK)
        assert _in_memory(part)

        def has_left() -> bool:
            file.write(_BLOCK)  # the next look only sees what has grown
            return not _in_memory(part)

        # Only what is on the drive can go from memory; the kernel by itself waits for half a minute.
        eventually(has_left, "the first bytes are on the drive", timeout_s=10)
    writeback.stop()


def test_a_part_is_watched_once_until_it_is_whole_or_gone(part: Path) -> None:
    writeback = Writeback(every_s=0.02)
    writeback.watch(part)
    writeback.watch(part)
    assert len(_threads(part)) == 1

    writeback.leave(part)
    eventually(lambda: not _threads(part), "nobody follows what is whole")
    writeback.watch(part)
    assert len(_threads(part)) == 1

    part.unlink()
    eventually(lambda: not _threads(part), "nobody follows what is gone")
    writeback.leave(part)
