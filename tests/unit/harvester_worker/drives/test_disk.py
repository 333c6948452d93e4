"""What the kernel does for us, and what is done where it does not."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from harvester_worker.drives import disk


def test_held_bytes_count_as_used_while_the_file_stays_empty(tmp_path: Path) -> None:
    with (tmp_path / "part").open("wb") as file:
        if not disk.allocate(file.fileno(), 1_000_000):
            pytest.skip("this file system holds no bytes")
        status = os.fstat(file.fileno())

    assert status.st_size == 0
    assert status.st_blocks * 512 >= 1_000_000


def test_more_than_the_free_space_cannot_be_allocated(tmp_path: Path) -> None:
    with (tmp_path / "part").open("wb") as file, pytest.raises(OSError) as error:
        disk.allocate(file.fileno(), 1 << 60)
    (tmp_path / "part").unlink()

    assert error.value.errno in (errno.ENOSPC, errno.EFBIG)


def test_a_rename_replaces_nothing(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_text("new")
    target.write_text("old")

    with pytest.raises(FileExistsError):
        disk.rename_new(source, target)

    assert (source.read_text(), target.read_text()) == ("new", "old")


@pytest.mark.parametrize("exists", [False, True])
def test_a_file_system_without_that_rename_replaces_nothing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    monkeypatch.setattr(disk, "_libc", SimpleNamespace(renameat2=lambda *_: -1))
    monkeypatch.setattr(disk.ctypes, "get_errno", lambda: errno.EINVAL)
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_text("new")
    if exists:
        target.write_text("old")
        with pytest.raises(FileExistsError):
            disk.rename_new(source, target)
    else:
        disk.rename_new(source, target)

    assert target.read_text() == ("old" if exists else "new")
