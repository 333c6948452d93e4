"""The watcher of the farm tests sees each promise that is broken: here the test itself breaks them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.machines import MB, Machines
from tests.support.waiting import eventually
from tests.support.watch import Watch


@pytest.mark.usefixtures("_lab_possible")
def test_lost_doubled_half_changed_and_overfilling_plots_are_seen(
    tmp_path: Path, real_plot: Path, chia: Path, chia_root: Path
) -> None:
    farm = Machines(tmp_path, chia, chia_root)
    plotter, harvester = farm.add_plotter("p1"), farm.add_harvester("h1", drives=2, drive_bytes=32 * MB)
    source = plotter.host.seen(plotter.dst) / real_plot.name
    one, other = (harvester.host.seen(path) / real_plot.name for path in harvester.drives.values())
    try:
        with Watch(farm) as watch:

            def seen(what: str) -> None:
                eventually(lambda: [text for text in watch.broken if what in text], f"{what} is seen", 5)
                watch.broken.clear()

            shutil.copy(real_plot, source.with_name("draft"))
            source.with_name("draft").rename(source)
            eventually(watch.known, "the plot is known", 5)
            assert not watch.broken, "nothing is wrong yet"
            one.write_bytes(real_plot.read_bytes()[: real_plot.stat().st_size // 2])
            seen("half a plot")
            one.unlink()
            damaged = bytearray(real_plot.read_bytes())
            damaged[len(damaged) // 2] ^= 1
            one.write_bytes(damaged)
            seen("changed")
            for drive in (one, other):
                shutil.copy(real_plot, drive.with_name("draft"))
                drive.with_name("draft").rename(drive)
            seen("twice")
            other.unlink()
            source.unlink()
            eventually(lambda: not watch.at_home() and watch.on_drives(), "it is on one drive", 5)
            watch.broken.clear()
            harvester.host.pull("d1")
            eventually(lambda looks=watch.looks: watch.looks > looks + 5, "it is looked for", 5)
            assert not watch.broken, "what is on a drive that is away is not lost"
            figures = os.statvfs(other.parent)
            with other.with_name("litter").open("wb") as litter:
                litter.write(bytes(figures.f_bavail * figures.f_frsize - MB // 2))
            seen("overfilled")
            harvester.host.push("d1")
            one = harvester.host.seen(harvester.drives["d1"]) / real_plot.name
            one.unlink(missing_ok=True)
            seen("lost")
    finally:
        farm.close()
