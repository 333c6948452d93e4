"""Whether a drive takes bytes and gives them back, as a harvester finds out by itself."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harvester_worker.drives import part_files, registry, write_check

MB = 1 << 20
MakeFarm = Callable[..., Any]


def test_a_drive_that_works_has_no_trouble_and_no_file_more(farm: MakeFarm, drive: Path) -> None:
    incoming = part_files.prepare(str(drive))

    assert farm(drive).drives.write_trouble(str(drive)) is None

    assert list(incoming.iterdir()) == []


def test_a_drive_that_is_full_or_read_only_or_gone_has_trouble(
    farm: MakeFarm, mounted_drive: Callable[[int], Path]
) -> None:
    drive = mounted_drive(48 * MB)
    incoming = part_files.prepare(str(drive))
    drives = farm(drive, mounted=True).drives
    assert drives.write_trouble(str(drive)) is None
    with (incoming / "filling").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, os.statvfs(drive).f_bavail * os.statvfs(drive).f_frsize - 64000)
    assert drives.write_trouble(str(drive)) == "No space left on device"
    (incoming / "filling").unlink()
    subprocess.run(["mount", "-o", "remount,ro", drive], check=True)
    assert drives.write_trouble(str(drive)) == "the drive is read-only"
    subprocess.run(["umount", drive], check=True)
    assert drives.write_trouble(str(drive)) == "the drive is not mounted"
    assert list(drive.iterdir()) == []


def test_a_drive_that_gives_back_other_bytes_has_trouble(
    farm: MakeFarm, drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part_files.prepare(str(drive))
    monkeypatch.setattr(write_check.os, "pread", lambda _, size, __: bytes(size))
    trouble = farm(drive).drives.write_trouble(str(drive))
    assert trouble == "other bytes come back than were written"


def test_a_drive_that_hangs_has_trouble_and_keeps_no_survey_waiting(
    farm: MakeFarm, drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part_files.prepare(str(drive))
    drives, ended = farm(drive).drives, threading.Event()
    monkeypatch.setattr(registry, "WRITE_CHECK_S", 0.5)
    monkeypatch.setattr(write_check, "TemporaryFile", lambda **_: ended.wait(20))
    try:
        trouble = drives.write_trouble(str(drive))
        assert trouble == "nothing can be written there within 0.5 s"
        (seen,) = drives.refresh().values()
        assert seen.report.state.value == "ok"
    finally:
        ended.set()
