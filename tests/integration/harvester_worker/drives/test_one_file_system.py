"""Two drives that are folders of one file system, which cannot allocate: its space is given away once."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from common.errors import NoRoom
from harvester_worker.drives import part_files
from harvester_worker.intake.reserve import ReserveOrder

MB = 1_000_000
PLOT = "/dst/plot-k25-2026-11-22-12-00-{:064x}.plot"


@pytest.fixture
def ext3(tmp_path: Path) -> Iterator[Path]:
    """57 MB free."""
    if os.geteuid() != 0 or not Path("/dev/loop-control").exists() or not shutil.which("mkfs.ext3"):
        pytest.skip("mounting a drive needs root, loop devices and mkfs.ext3")
    image, place = tmp_path / "image", tmp_path / "mount"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(64 * MB)
    subprocess.run(["mkfs.ext3", "-q", "-m", "0", image], check=True, capture_output=True)
    done = subprocess.run(["mount", "-o", "loop", image, place], check=False, capture_output=True)
    if done.returncode != 0:
        pytest.skip(f"mount does not work here: {done.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=False, capture_output=True)


def order(number: int) -> ReserveOrder:
    return ReserveOrder(host="h1", source_host="p1", path=PLOT.format(number), size_bytes=33 * MB, door=False)


def test_the_second_plot_waits_while_the_first_is_on_its_way(farm: Callable[..., Any], ext3: Path) -> None:
    one, two = ext3 / "one", ext3 / "two"
    one.mkdir()
    two.mkdir()
    harvester = farm(one, two)
    part = Path(harvester.reserver.reserve(order(1)).part)
    assert part_files.parts(str(one))[0].held_bytes == 0, "ext3 allocates nothing"
    with pytest.raises(NoRoom, match=f"{two}: room "):
        harvester.reserver.reserve(order(2))
    part.write_bytes(bytes(20 * MB))
    os.sync()
    with pytest.raises(NoRoom, match=f"{two}: room "):
        harvester.reserver.reserve(order(2))
    assert harvester.reserver.reserve(order(1)).part == str(part)
