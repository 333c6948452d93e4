"""`plotman inventory` as an operator runs it, on a farm of two harvesters with plots of several formats."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import formats
from tests.support.harvesters import Harvesters
from tests.support.installed import celery
from tests.support.plots import write_plot
from tests.support.waiting import eventually


class Pair(Harvesters):
    """h1 has the drives a and b, h2 the drive a; a desk asks. One plot is on b of h1 and on a of h2."""

    def __init__(self, folder: Path, broker_url: str) -> None:
        super().__init__(folder, broker_url)
        for name in ("h1/a", "h1/b", "h2/a"):
            (folder / name).mkdir(parents=True)
        self.plain = [write_plot(folder / "h1/a", 5_000) for _ in range(3)]
        self.twice = _headed(folder / "h1/b", "bladebit")
        (folder / "h2/a" / self.twice.name).write_bytes(self.twice.read_bytes())
        self.bad = folder / "h2/a" / f"plot-k32-2026-11-22-15-48-{'ab' * 32}.plot"
        self.bad.write_bytes(b"no plot")

    def start(self) -> None:
        for host in ("h1", "h2"):
            self.start_worker(host)

    def run(self, *words: str, code: int = 0) -> str:
        done = self.plotman(*words, code=code)
        return done.stdout if code == 0 else done.stderr

    def json(self, *words: str) -> Any:
        return json.loads(self.run("inventory", *words, "--json"))


def _headed(folder: Path, kind: str) -> Path:
    plot_id = os.urandom(32)
    path = folder / formats.name(kind, plot_id)
    head = formats.header(kind, plot_id)
    path.write_bytes(head + os.urandom(formats.PLOT_BYTES - len(head)))
    return path


@pytest.fixture
def pair(tmp_path: Path, broker_url: str) -> Iterator[Pair]:
    made = Pair(tmp_path, broker_url)
    made.start()
    try:
        for host, read in (("h1", 4), ("h2", 2)):
            eventually(lambda host=host, read=read: made.read(host) == read, f"{host} is read", 60)
        yield made
    finally:
        made.stop()


def test_an_operator_sees_what_lies_on_the_drives(pair: Pair) -> None:
    shown = pair.run("inventory")
    assert "k32 C7 bladebit" in shown
    assert "k25 uncompressed" in shown
    assert "1 file (7 B) no whole plot: see --files." in shown
    by_drive = {(row["host"], row["drive"]): row["plots"] for row in pair.json("--by", "drive")["rows"]}
    a, b, other = (str(pair.folder / name) for name in ("h1/a", "h1/b", "h2/a"))
    assert by_drive == {("h1", a): 3, ("h1", b): 1, ("h2", other): 1}
    assert [row["host"] for row in pair.json("--by", "host", "--host", "h2")["rows"]] == ["h2"]
    assert [row["month"] for row in pair.json("--by", "month")["rows"]] == ["2026-11"]
    assert pair.json("--drive", b)["plots"] == 1

    files = pair.json("--files")["files"]
    assert (files[0]["name"], files[0]["plots"]) == (pair.bad.name, 0)
    assert "begins with" in files[0]["reason"]
    names = [plot.name for plot in (*pair.plain, pair.twice, pair.twice)]
    assert sorted(file["name"] for file in files[1:]) == sorted(names)
    assert f"h1:{a}/{pair.plain[0].name}" in pair.run("inventory", "--files", "--host", "h1")

    (duplicate,) = pair.json("--duplicates")["duplicates"]
    assert [(file["host"], file["name"]) for file in duplicate["files"]] == [
        ("h1", pair.twice.name),
        ("h2", pair.twice.name),
    ]
    assert duplicate["spare_bytes"] == formats.PLOT_BYTES
    assert "1 plot in several files: 300.0 kB could be freed." in pair.run("inventory", "--duplicates")

    assert "No harvester has the drive /nowhere" in pair.run("inventory", "--drive", "/nowhere", code=5)
    assert "No harvester is called h9" in pair.run("inventory", "--host", "h9", code=5)
    assert "Choose one of --files, --duplicates, --farmed and --disks" in pair.run(
        "inventory", "--files", "--duplicates", code=2
    )

    assert "Set harvester.chia_root in its plotman.yaml" in pair.run("inventory", "--farmed", code=1)

    assert [disk["host"] for disk in pair.json("--disks")["disks"]] == ["h1", "h1", "h2"]
    assert "temperature" in pair.run("inventory", "--disks", "--host", "h1")

    call = ("call", "harvester_worker.inventory", "--kwargs", '{"host": "h1", "what": "faults"}')
    assert subprocess.run(celery(*call), env=pair.environment("desk"), check=False).returncode == 0

    pair.plain[0].unlink()
    eventually(lambda: (sums := pair.sums("h1")) and sums.read == 3, "a deleted plot is gone", 60)
    pair.stop()
    assert "No harvester answers" in pair.run("inventory", "--by", "drive", code=4)
    assert "k32 C7 bladebit" in pair.run("inventory")
