"""A drive that fails during a transfer of which the harvester hears nothing: by ssh, or from path to path."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harvester_worker.drives import part_files
from tests.integration.harvester_worker.drives.test_registry import MB, order


def test_a_plot_that_gets_no_further_on_its_drive_goes_to_another(
    farm: Callable[..., Any], drive: Path, tmp_path: Path
) -> None:
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
