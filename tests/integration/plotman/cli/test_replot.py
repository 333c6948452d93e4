"""`plotman replot` as an operator runs it: harvesters with real plots of both proofs of space, and names that
lie. Plots are judged by their headers, and without new plots no file is touched."""

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
from tests.support.installed import from_wheel
from tests.support.ports import free_port
from tests.support.terminal import terminal
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
        self.start_worker("h1", replot=True, margin_bytes=0, proofs=1)
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


def test_one_plot_of_each_harvester_is_the_first_to_go(farm: Farm) -> None:
    found = farm.json(replot={"classes": CLASSES})
    assert [one["name"] for one in found["first"] if one["first_turn"]] == [farm.plain.name]


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
    assert shown.stdout.startswith("This is a plan: it deletes nothing, and orders nothing.")
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
    assert 11_000_000 <= found["classes"][0]["due_height"] < 11_100_000  # small plots differ in size
    assert "The fork is at height 10,500,000 (replot.fork_height)" in other.stdout
    assert "replot.fork_height is 10,500,000, and chia's full node names 11,000,000" in other.stderr

    silent = farm.run(replot=replot)
    assert "What is replaced, in this order" in silent.stdout
    assert "chia's full node does not answer" in silent.stderr and "`chia start node`" in silent.stderr


class Desk:
    """An operator at a farm, with the classes in plotman.yaml."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm

    def replot(self, *words: str, code: int = 0, **settings: Any) -> subprocess.CompletedProcess[str]:
        section = {"classes": CLASSES, "start": "now"} | settings
        return self.farm.plotman("replot", *words, code=code, replot=section)

    def plotman(self, *words: str) -> str:
        return self.farm.plotman(*words, replot={"classes": CLASSES}).stdout

    def state(self) -> str | None:
        (one,) = json.loads(self.replot("status", "--json").stdout)["hosts"] or [{"state": None}]
        return one["state"]


@pytest.fixture
def desk(farm: Farm) -> Iterator[Desk]:
    """An operator; no plot is touched meanwhile, and no order is left."""
    before = content(farm)
    made = Desk(farm)
    yield made
    if made.state() is not None:
        made.replot("stop", "--yes")
    assert content(farm) == before


def test_an_operator_starts_pauses_resumes_and_stops(desk: Desk) -> None:
    assert "No harvester has an order" in desk.replot("status").stdout
    begun = desk.replot("start", "--class", "plain", "--yes", "--json", "--reason", "v2")
    found = json.loads(begun.stdout)
    assert [(one["class"], one["plots"], one["hosts"]) for one in found["classes"]] == [("plain", 3, ["h1"])]
    ((host, answer),) = ((one["host"], one["answer"]) for one in found["answers"])
    assert (host, answer[:26]) == ("h1", "h1 replaces old plots by n")
    assert "A deleted plot cannot be restored" in begun.stderr
    eventually(lambda: desk.state() == "waiting", "the order is shown")
    shown = desk.replot("status")
    assert "h1 waits" in shown.stdout
    assert "0 new plots (0 B) arrived" in shown.stdout
    assert "Replot: waiting" in desk.plotman("status")
    assert "Replot: waiting" in desk.replot("plan").stdout

    desk.replot("pause", "--host", "h1", "--reason", "holidays")
    eventually(lambda: desk.state() == "paused", "the pause is shown")
    assert "h1: replot is paused: holidays" in desk.plotman("status")
    assert "plotman replot resume --host h1" in desk.plotman("why", "h1")
    desk.replot("resume")
    eventually(lambda: desk.state() == "waiting", "it is resumed")

    assert "--yes" in desk.replot("stop", code=2).stderr
    assert desk.state() == "waiting"
    assert "h1 replaces no more old plots" in desk.replot("stop", "--yes").stdout
    eventually(lambda: desk.state() is None, "the order is gone")
    for verb in (("pause",), ("resume",), ("stop", "--yes")):
        assert "No harvester has an order" in desk.replot(*verb, code=5).stderr


def test_nothing_begins_by_accident(desk: Desk, farm: Farm) -> None:
    assert "--yes needs each class" in desk.replot("start", "--yes", code=2).stderr
    assert "There is no terminal to ask" in desk.replot("start", code=2).stderr
    assert "Did you mean plain?" in desk.replot("start", "--class", "plan", "--yes", code=5).stderr
    waits = desk.replot("start", "--class", "plain", "--yes", code=1, start="fork")
    assert "the height of the fork is not known" in waits.stderr
    off = desk.replot("start", "--class", "plain", "--host", "h2", "--yes", code=5)
    assert "write `replot: true` into the section harvester" in off.stderr
    none = farm.plotman("replot", "start", code=5)
    assert "names no classes of old plots" in none.stderr
    assert desk.state() is None


def test_the_name_of_each_class_is_typed(desk: Desk, farm: Farm) -> None:
    section = {"classes": CLASSES, "start": "now"}
    environment = farm.environment("desk", replot=section)
    with terminal(from_wheel("plotman", "replot", "start"), environment) as screen:
        screen.shows("Type plain to have its 3 plots")
        screen.type("yes\n")
        screen.shows("Nothing was ordered")
        assert screen.process.wait(timeout=30) == 1
    with terminal(from_wheel("plotman", "replot", "start"), environment) as screen:
        screen.shows("Type plain to have its 3 plots")
        screen.type("plain\n")
        screen.shows("Type c7 to have its 1 plot")
        screen.type("c7\n")
        screen.shows("h1 replaces old plots by new ones: plain, c7")
        assert screen.process.wait(timeout=30) == 0
    eventually(lambda: desk.state() == "waiting", "the order is shown")


def test_a_class_that_is_not_due_stays_until_its_date(desk: Desk) -> None:
    desk.replot("start", "--class", "c7", "--yes", start="2100-01-01")
    eventually(lambda: desk.state() == "waiting", "the order is shown")
    assert "from 2100-01-01" in desk.replot("status").stdout


def test_an_order_that_a_harvester_refuses_is_an_error(desk: Desk, farm: Farm) -> None:
    journal = farm.folder / "h1-state" / "replot.json"
    kept = journal.rename(journal.with_suffix(".kept"))
    journal.mkdir()  # cannot be written
    try:
        refused = desk.replot("start", "--class", "plain", "--yes", code=1)
    finally:
        journal.rmdir()
        kept.rename(journal)
    assert "h1" in refused.stderr
    assert desk.state() is None
