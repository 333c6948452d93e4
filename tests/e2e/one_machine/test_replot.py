"""Old plots give way to new ones on full drives: real plots of both kinds, through the whole saga."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support import formats
from tests.support.farm import HOST, Farm
from tests.support.tiny import tiny
from tests.support.waiting import eventually

CLASSES = {"old": {"k": 18, "compression": 0}}
DRIVE_MIB = 14  # two old plots of k18, and two new ones of k20
NEW_MOST = 10


class Swap:
    """Two drives, each with two old plots of k18; new plots of k20 come one by one."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.drives = [farm.folder / "drives" / name for name in ("1", "2")]
        self.aside = farm.folder / "aside"
        self.aside.mkdir()
        self.old = {path: path.stat().st_size for path in self._filled()}
        self.kept = formats.make_group(self.drives[0])
        self.new: list[str] = []

    def _filled(self) -> Iterator[Path]:
        for drive in self.drives:
            for _ in range(2):
                yield Path(shutil.move(formats.make_v1(self.aside), drive))

    def left(self) -> list[Path]:
        return [path for path in self.old if path.exists()]

    def bytes_arrived(self) -> int:
        return sum(path.stat().st_size for drive in self.drives for path in drive.glob("plot-k20-*.gplot"))

    def look(self) -> None:
        """No old plot has gone before as many bytes of new plots came."""
        left = self.left()  # first: what arrives meanwhile is no excuse
        deleted_bytes = sum(self.old.values()) - sum(self.old[path] for path in left)
        assert deleted_bytes <= self.bytes_arrived()

    def bring_one(self) -> Path:
        """A new plot, as a plotter leaves it in dst."""
        made = formats.make_group(self.aside, k=20)
        source = Path(shutil.move(made, self.farm.folder / "dst" / "1"))
        self.new.append(source.name)
        return source

    def arrives(self, source: Path) -> None:
        """Wait until it is on its drive, and look all the time."""

        def released() -> bool:
            self.look()
            return not source.exists()

        eventually(released, f"{source.name} is archived", 90)

    def report(self) -> dict[str, Any]:
        shown = self.farm.run("replot", "status", "--json")
        assert shown.returncode == 0, shown.stderr
        (one,) = json.loads(shown.stdout)["hosts"]
        return dict(one)


@pytest.fixture
def swap(farm: Farm) -> Iterator[Swap]:
    with ExitStack() as mounts:
        for name in ("1", "2"):
            mounts.enter_context(tiny(farm.folder / "drives" / name, f"size={DRIVE_MIB}m"))
        farm.configure(
            tmp=1,
            dst=1,
            drives=0,
            harvester={"replot": True, "proofs": 2, "margin_bytes": 100_000},
            replot={"classes": CLASSES, "start": "now"},
        )
        farm.allow(0)
        made = Swap(farm)
        farm.up()
        yield made
        farm.stop()


@pytest.mark.timeout(400)
def test_old_plots_go_one_by_one_as_new_ones_arrive_and_none_before(farm: Farm, swap: Swap) -> None:
    def plots_found() -> int:
        found: int = json.loads(farm.run("replot", "plan", "--json").stdout)["plots"]
        return found

    eventually(lambda: plots_found() == 4, "the plan knows all old plots", 60)
    begun = farm.run("replot", "start", "--class", "old", "--yes")
    assert begun.returncode == 0, begun.stderr
    assert swap.left() == list(swap.old)

    while swap.left() and len(swap.new) < NEW_MOST:
        before = len(swap.left())
        swap.arrives(swap.bring_one())
        enough = swap.bytes_arrived() >= sum(swap.old.values())
        if before == 4 and len(swap.new) == 3:
            eventually(lambda: len(swap.left()) < 4, "the first old plot goes", 60)
            _must_pause(farm, swap)
        if enough:
            eventually(lambda: swap.report()["state"] in ("done", "waiting"), "it settles", 60)
        swap.look()

    eventually(lambda: swap.report()["state"] == "done", "no old plot is left", 90)
    assert swap.left() == []
    on_drives = {path.name for drive in swap.drives for path in drive.glob("*.gplot")}
    assert on_drives == {*swap.new, swap.kept.name}
    report = swap.report()
    assert (report["deleted_plots"], report["deleted_bytes"]) == (4, sum(swap.old.values()))
    assert report["new_plots"] == len(swap.new)
    assert len(farm.events("plot-replaced")) == 4, "each once"
    assert len(farm.events("replot-begun")) == len(farm.events("replot-done")) == 1
    rows = json.loads(farm.run("history", "--landings", "--json").stdout)["rows"]
    gone = {row["path"] for row in rows if row["end"] == "replaced"}
    assert gone == {str(path) for path in swap.old}
    arrived = [row["verified"] for row in rows if row["end"] != "replaced"]
    assert len(arrived) == len(swap.new)
    assert all("all valid" in verified for verified in arrived)
    assert f"{HOST}: replot is done" in farm.run("status").stdout


def _must_pause(farm: Farm, swap: Swap) -> None:
    """While the order is paused, new plots count, and no old one goes."""
    assert farm.run("replot", "pause", "--reason", "holidays").returncode == 0
    eventually(lambda: swap.report()["state"] == "paused", "it pauses")
    before, new_plots = swap.left(), swap.report()["new_plots"]
    swap.arrives(swap.bring_one())
    eventually(lambda: swap.report()["new_plots"] == new_plots + 1, "the new plot counts")
    assert swap.left() == before
    assert farm.run("replot", "resume").returncode == 0
