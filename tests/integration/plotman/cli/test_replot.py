"""`plotman replot plan` as an operator runs it: harvesters with real plots of both proofs of space, and names
that lie. Plots are judged by their headers, and no file is touched."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from plotman.supervisor import broker
from tests.support import formats
from tests.support.chia_services import StandIn, change
from tests.support.harvesters import Harvesters
from tests.support.ports import free_port
from tests.support.waiting import eventually

CLASSES = {
    "plain": {"k": 18, "compression": 0, "pool": "contract"},
    "c7": {"compression": 7},
}
ID = "ab" * 32
C7_BYTES = 80_650_000_000


class Farm(Harvesters):
    """h1, whose plots may be replaced, has the drives a and b; h2, whose plots may not, has the drive a."""

    def __init__(self, folder: Path, broker_url: str) -> None:
        super().__init__(folder, broker_url)
        self.a, self.b, self.other = (folder / name for name in ("h1/a", "h1/b", "h2/a"))
        for drive in (self.a, self.b, self.other):
            drive.mkdir(parents=True)
        self.plain = formats.make_v1(self.a)
        self.group = formats.make_group(self.a)
        self.bladebit = formats.make_sparse(self.b, "bladebit", C7_BYTES)
        self.too_small = formats.make("bladebit", self.a, self.plain)
        self.gigahorse = formats.make("Gigahorse", self.b, self.plain)
        # v1 in the name of a group, v2 in the name of an old plot, a level in the name of a plot without.
        self.like_group = Path(shutil.copy(self.plain, self.b / f"plot-k28-{ID}.gplot"))
        self.like_old = Path(shutil.copy(self.group, self.b / f"plot-k32-2019-01-01-00-00-{ID}.plot"))
        self.like_c30 = Path(shutil.copy(self.plain, self.b / f"plot-k32-c30-2026-01-01-00-00-{ID}.plot"))
        shutil.copy(self.plain, self.other)
        (self.b / f"plot-k32-2021-01-01-00-00-{'cd' * 32}.plot").write_bytes(b"no plot")
        self.files = 10

    def start(self) -> None:
        self.start_worker("h1", replot=True, margin_bytes=0)
        self.start_worker("h2", margin_bytes=0)

    def run(self, *words: str, replot: Any = None, code: int = 0) -> subprocess.CompletedProcess[str]:
        sections = {} if replot is None else {"replot": replot}
        return self.plotman("replot", "plan", *words, code=code, **sections)

    def json(self, *words: str, **more: Any) -> Any:
        return json.loads(self.run(*words, "--json", **more).stdout)


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    folder = tmp_path_factory.mktemp("replot")
    url = broker.settle(folder / "redis", lambda _: None).url
    server = subprocess.Popen(broker.argv(folder / "redis"), stdout=subprocess.DEVNULL)
    eventually(lambda: broker.answers(url), "the broker answers")
    made = Farm(folder, url)
    made.start()
    try:
        eventually(lambda: made.read("h1") + made.read("h2") == made.files, "all files are read", 150)
        yield made
    finally:
        made.stop()
        server.terminate()
        server.wait(timeout=10)


def content(farm: Farm) -> dict[str, tuple[int, int]]:
    found = sorted(farm.folder.glob("h?/*/*.*plot*"))
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


def test_old_plots_are_found_by_their_headers_whatever_their_names(farm: Farm) -> None:
    before = content(farm)
    assert len(before) == farm.files
    found = farm.json("--first", "9", replot={"classes": CLASSES})
    assert content(farm) == before

    assert [(one["class"], one["plots"], one["drives"]) for one in found["classes"]] == [
        ("plain", 3, 2),
        ("c7", 1, 1),
    ]
    assert found["bytes"] == 3 * farm.plain.stat().st_size + farm.bladebit.stat().st_size
    assert [(one["drive"], one["name"], one["class"]) for one in found["first"]] == [
        (str(farm.a), farm.plain.name, "plain"),
        (str(farm.b), farm.like_group.name, "plain"),
        (str(farm.b), farm.like_c30.name, "plain"),
        (str(farm.b), farm.bladebit.name, "c7"),
    ]
    kept = {(one["why"], one["plot_class"]["format"]): one["plots"] for one in found["kept"]}
    assert kept == {
        ("of the new proof of space", "PoS2 02"): 2,
        ("their size does not fit the header", "bladebit 2"): 1,
        ("the header does not give the compression level", "mmx-v2.4"): 1,
        ("harvester.replot is off on h2", "v1.0"): 1,
    }


def test_the_first_to_go_are_as_many_as_may_go_at_once(farm: Farm) -> None:
    def at_once(most: int) -> list[str]:
        found = farm.json(replot={"classes": CLASSES, "max_in_flight": most})
        return [one["name"] for one in found["first"] if one["first_turn"]]

    assert at_once(1) == [farm.plain.name]
    assert at_once(5) == [farm.plain.name, farm.like_group.name]


def test_a_month_and_a_choice_of_classes_narrow_the_plan(farm: Farm) -> None:
    old = {"compression": 0, "made_before": "2026-06"}
    found = farm.json(replot={"classes": {"old": old}})
    assert [one["name"] for one in found["first"]] == [farm.like_c30.name]
    found = farm.json("--classes", "c7", replot={"classes": CLASSES})
    assert [one["class"] for one in found["classes"]] == ["c7"]
    assert {one["why"] for one in found["kept"]} >= {"in none of the classes"}
    assert "no class c8" in farm.run("--classes", "c8", replot={"classes": CLASSES}, code=5).stderr
    assert farm.json("--host", "h2", replot={"classes": CLASSES})["plots"] == 0
    assert "No harvester is called h9" in farm.run("--host", "h9", replot={"classes": CLASSES}, code=5).stderr


def test_an_operator_reads_dates_pace_and_reasons(farm: Farm) -> None:
    replot = {"classes": CLASSES, "fork_height": 11_000_000}
    shown = farm.run("--tb-per-day", "0.000001", replot=replot)
    assert shown.stdout.startswith("This is a plan: nothing is deleted")
    for text in (
        "What is replaced, in this order",
        "2027-09-20",
        "A new k28 plot needs more than one of them.",
        "A plot of c7 frees 80.7 GB, room for one group of 80 new plots, or 2 groups of 32",
        "Pace: 1.0 MB a day, as given",
        "From 2028-05-31 on, the network accepts no proof of an old plot",
        "What these plots and the new ones farm, from",
        "unchanged ",
        "What goes first on each drive",
        "What stays",
        "harvester.replot is off on h2",
    ):
        assert text in shown.stdout, text
    assert "1 file without a whole plot" in shown.stderr

    unknown = farm.run(replot={"classes": CLASSES}).stdout
    assert "There are no dates, because the height of the fork is not known" in unknown
    assert "The end is not known" in unknown


def test_without_classes_it_shows_how_to_write_them(farm: Farm) -> None:
    shown = farm.run()
    assert "every plot stays" in shown.stdout
    assert "write `replot: true` into the section harvester" in shown.stdout
    assert "h2" in shown.stdout
    text = farm.json()["example"]
    assert yaml.safe_load(text) == {"replot": {"classes": None}}
    assert farm.json(replot=yaml.safe_load(text)["replot"])["configured"] is False
    chosen = yaml.safe_load(re.sub(r"(?m)^    #(?! )|^    #(?=  )", "    ", text))["replot"]
    found = farm.json(replot=chosen)
    assert [(one["class"], one["plots"]) for one in found["classes"]] == [("1-k18-c0", 3), ("2-k32-c7", 1)]


def test_a_mistake_in_the_section_is_an_error_and_no_plan(farm: Farm) -> None:
    failed = farm.run(replot={"classes": {"new": {}}}, code=3)
    assert "names no plots" in failed.stderr
    assert failed.stdout == ""


@pytest.mark.plotter
def test_heights_are_of_the_full_node_of_this_machine(farm: Farm, chia_root: Path, tmp_path: Path) -> None:
    root = tmp_path / "chia"
    shutil.copytree(chia_root, root)
    change(root, "full_node", rpc_port=free_port())
    replot = {"classes": CLASSES, "chia_root": str(root)}
    state = {"peak": {"height": 9_900_000}, "sync": {"synced": True}}
    answers = {
        "/get_blockchain_state": {"blockchain_state": state, "success": True},
        "/get_constants": {"constants": {"HARD_FORK2_HEIGHT": 11_000_000}, "success": True},
    }
    node = StandIn(root, "full_node", answers)
    try:
        found = farm.json(replot=replot)
        other = farm.run(replot=replot | {"fork_height": 10_500_000})
    finally:
        node.stop()
    assert (found["height"], found["height_source"]) == (9_900_000, "node")
    assert (found["fork_height"], found["fork_source"]) == (11_000_000, "node")
    assert found["classes"][0]["due_height"] == 11_000_000
    assert "The fork is at height 10,500,000 (replot.fork_height)" in other.stdout
    assert "replot.fork_height is 10,500,000, and chia's full node names 11,000,000" in other.stderr

    silent = farm.run(replot=replot)
    assert "What is replaced, in this order" in silent.stdout
    assert "chia's full node does not answer" in silent.stderr and "`chia start node`" in silent.stderr
