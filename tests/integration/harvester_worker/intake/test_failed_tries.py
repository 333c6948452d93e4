"""A drive that fails during a transfer of which the harvester hears nothing: by ssh, or from path to path."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from harvester_worker.drives import part_files, write_check
from tests.integration.harvester_worker.drives.test_registry import MB, order
from tests.support.waiting import eventually


@pytest.mark.parametrize("works", [True, False], ids=["a drive that works", "a drive that fails"])
def test_a_plot_that_gets_no_further_on_its_drive_goes_to_another(
    farm: Callable[..., Any],
    drive: Path,
    tmp_path: Path,
    works: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if not works:
        monkeypatch.setattr(write_check, "TemporaryFile", Mock(side_effect=OSError(errno.EIO, "it broke")))
    other = tmp_path / "other"
    other.mkdir()
    harvester = farm(drive, other)
    part = Path(harvester.reserver.reserve(order(1, MB)).part)
    part.write_bytes(bytes(1000))

    drives = []
    for _ in range(4):
        drives.append(harvester.reserver.reserve(order(1, MB)).drive)
        if part.exists():
            written_ns = part.stat().st_mtime_ns + 1_000_000
            os.utime(part, ns=(written_ns, written_ns))  # as by a write that fails

    assert drives == [str(drive)] * 2 + [str(other)] * 2
    assert part_files.parts(str(drive)) == []

    eventually(lambda: "stays in use" in caplog.text if works else harvester.reserver._failed, "it is tried")
    assert bool(harvester.reserver._failed) is not works, "a plotter that only claims to send blames no drive"
