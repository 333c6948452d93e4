"""The tables of `plotman inventory`, by the snapshots and by the harvesters' answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from common.errors import ExitCode, OrderRefused, PlotmanError
from common.model.inventory import DriveRow, FileRow, SumRow
from common.model.plot_class import ClassSum, InventorySums, PlotClass
from common.model.snapshot import HarvesterSnapshot
from plotman.control.farm import NoSuchHost
from plotman.control.queries import inventory
from plotman.control.queries.inventory import By, as_dict, by_snapshots, lines, narrowed, remarks, table
from plotman.control.rpc import NoAnswer, TaskCall
from tests.support.stored import C7, OG, T, farm, let_answer


def harvester(host: str, *sums: ClassSum, **more: Any) -> HarvesterSnapshot:
    found = None if more.pop("older", False) else InventorySums(classes=sums, **more)
    return HarvesterSnapshot(host=host, at=T, drives=(), inventory=found)


TWO = farm(
    harvester("h1", ClassSum(**C7, plots=3, files=3, bytes=300), faults=2, fault_bytes=9, listed=5, read=5),
    harvester(
        "h2",
        ClassSum(**OG, plots=2, files=2, bytes=600),
        ClassSum(**C7, plots=1, files=1, bytes=100),
        listed=20_000,
        read=12_345,
        duplicates=1,
    ),
)


def test_plots_of_one_class_are_summed_over_the_farm_and_the_largest_class_comes_first() -> None:
    assert table(by_snapshots(TWO), By.CLASS).rows == (
        ("k32 uncompressed", "pool key abababab", "2", "600 B", "60.0%"),
        ("k32 C7 bladebit", "contract 05050505", "4", "400 B", "40.0%"),
        ("all", "", "6", "1.0 kB", "100.0%"),
    )


@pytest.mark.parametrize(
    ("by", "rows"),
    [
        (By.HOST, [("h2",), ("h1",), ("all",)]),
        (By.POOL, [("pool key abababab",), ("contract 05050505",), ("all",)]),
    ],
)
def test_other_rows(by: By, rows: list[tuple[str]]) -> None:
    made = table(by_snapshots(TWO), by)
    assert [row[:1] for row in made.rows] == rows
    assert made.columns[0] == by


def test_what_the_table_leaves_out_is_said() -> None:
    silent = farm(*TWO.harvesters.values(), harvester("h3", older=True), silent=("h1",))
    assert remarks(by_snapshots(silent)) == [
        "h3 is missing: it has no inventory yet. An older plotman keeps none: upgrade it.",
        "h1 is silent: this is its last report.",
        "h2: read 12,345 of 20,000 files so far.",
    ]
    found = by_snapshots(silent)
    assert (found.faults, found.duplicates) == (2, 1)


def test_classes_beyond_the_most_are_one_row() -> None:
    sums = InventorySums(others=ClassSum(format="others", plots=4, files=4, bytes=9))
    one = HarvesterSnapshot(host="h1", at=T, drives=(), inventory=sums)
    assert table(by_snapshots(farm(one)), By.CLASS).rows == (("others", "?", "4", "9 B", "100.0%"),)


def test_one_host_of_the_farm() -> None:
    only = narrowed(by_snapshots(TWO), "h1")
    assert (only.plots, [one.host for one in only.hosts]) == (3, ["h1"])
    with pytest.raises(NoSuchHost, match="Harvesters: h1, h2"):
        narrowed(by_snapshots(TWO), "h9")


def test_an_empty_farm_has_no_rows() -> None:
    assert table(by_snapshots(farm(harvester("h1"))), By.CLASS).rows == ()
    assert lines(by_snapshots(farm()), By.HOST) == []


def test_json_has_each_figure() -> None:
    found = json.loads(json.dumps(as_dict(by_snapshots(TWO), By.CLASS)))
    assert found["rows"][1] == {
        "format": "bladebit 2", "k": 32, "compression": 7, "strength": None, "pool": "contract",
        "pool_key": "05" * 32, "unfarmable": False, "name": "k32 C7 bladebit, contract 05050505",
        "plots": 4, "files": 4, "bytes": 400, "share": 0.4,
    }  # fmt: skip
    assert found["hosts"][1] == {
        "host": "h2", "silent": False, "listed": 20_000, "read": 12_345, "faults": 0, "fault_bytes": 0,
        "duplicates": 1,
    }  # fmt: skip
    assert (found["version"], found["by"], found["plots"], found["bytes"]) == (1, "class", 6, 1000)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[TaskCall]]:
    """Let hosts answer, and one be silent; returns the calls so far."""
    return lambda answers: let_answer(monkeypatch, answers, silent=("quiet",))


def sums(*rows: SumRow, drives: tuple[DriveRow, ...] = (), after: str | None = None) -> dict[str, Any]:
    return {
        "drives": [row.model_dump(mode="json") for row in drives],
        "sums": [row.model_dump(mode="json") for row in rows],
        "duplicates": 0,
        "next": after,
    }


def row(drive: str, month: str = "2026-11", plots: int = 1) -> SumRow:
    return SumRow(**C7, drive=drive, month=month, plots=plots, files=plots, bytes=100 * plots)


def drive(path: str, **more: Any) -> DriveRow:
    return DriveRow(**{"drive": path, "state": "active", "counts": True} | more)


def test_drives_are_listed_also_without_plots(asked: Any) -> None:
    lost = drive("/f/3", counts=False, state="missing", plots=7, files=7)
    asked({"h1": lambda _: sums(row("/f/1", plots=4), drives=(drive("/f/1"), drive("/f/2"), lost))})
    found = inventory.ask_sums(None, None)
    assert [line[:3] for line in table(found, By.DRIVE).rows] == [
        ("h1", "/f/1", "4"),
        ("h1", "/f/2", "0"),
        ("h1", "/f/3", "0"),
        ("all", "", "4"),
    ]
    assert remarks(found) == [
        "quiet is missing: the harvester is silent.",
        "h1:/f/3 is missing: its 7 plots, when last read, are not counted.",
    ]


def test_months_are_in_order_over_several_pages(asked: Any) -> None:
    def pages(call: TaskCall) -> Any:
        if call.kwargs.get("after") == "1":
            return sums(row("/f/1", "2021-04"))
        return sums(row("/f/1", "2026-11"), drives=(drive("/f/1", listed=9, read=5),), after="1")

    asked({"h1": pages})
    found = inventory.ask_sums(None, None)
    assert [line[0] for line in table(found, By.MONTH).rows] == ["2021-04", "2026-11", "all"]
    assert found.hosts[0].progress == "read 5 of 9 files"


def test_a_host_that_fails_costs_only_itself(asked: Any) -> None:
    asked({"h1": lambda _: NoAnswer("h1 does not answer."), "h2": lambda _: sums(row("/f/1"))})
    found = inventory.ask_sums(None, None)
    assert (found.plots, found.missing["h1"]) == (1, "h1 does not answer.")


def test_a_host_that_names_a_place_twice_is_asked_no_more(asked: Any) -> None:
    calls = asked({"h1": lambda _: sums(row("/f/1"), after="x")})
    found = inventory.ask_sums(None, None)
    assert len(calls) == 2
    assert "cannot be read" in found.missing["h1"]


def test_a_host_fills_no_memory_with_sums_without_end(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "_MOST_SUMS", 5)

    def without_end(call: TaskCall) -> Any:
        after = int(call.kwargs.get("after", "0"))
        return sums(row("/f/1"), row("/f/2"), after=str(after + 1))

    asked({"h1": without_end, "h2": lambda _: sums(row("/f/1"))})
    found = inventory.ask_sums(None, None)
    assert [part.host for part in found.parts] == ["h1"] * 5 + ["h2"]
    assert found.missing["h1"] == "only its first 5 sums are counted"


def test_without_any_answer_there_is_an_error(asked: Any) -> None:
    asked({"h1": lambda _: NoAnswer("h1 does not answer.")})
    with pytest.raises(NoAnswer, match="h1 does not answer"):
        inventory.ask_sums(None, None)


def test_a_drive_is_looked_for_on_all_hosts(asked: Any) -> None:
    refusal = OrderRefused("/f/1 is no drive of h2.", "It has /g/1.")
    calls = asked({"h1": lambda _: sums(row("/f/1"), drives=(drive("/f/1"),)), "h2": lambda _: refusal})
    found = inventory.ask_sums(None, "/f/1")
    assert (found.plots, list(found.missing)) == (1, ["quiet"])
    assert {call.kwargs["drive"] for call in calls} == {"/f/1"}

    asked({"h2": lambda _: refusal})
    with pytest.raises(inventory.NoSuchDrive, match="It has /g/1"):
        inventory.ask_sums(None, "/f/1")
    assert inventory.NoSuchDrive.exit_code is ExitCode.NOTHING


def test_files_come_page_by_page(asked: Any) -> None:
    def pages(call: TaskCall) -> Any:
        name = call.kwargs.get("after", "a.plot")
        file = FileRow(drive="/f", name=name, size_bytes=9, plots=1, plot_class=PlotClass(**C7))
        return {
            "files": [file.model_dump(mode="json")],
            "next": {"a.plot": "b.plot", "b.plot": None}[name],
        }

    asked({"h1": pages})
    missing: dict[str, str] = {}
    found = list(inventory.ask_files(None, None, missing, faults=False))
    assert [(host, file.name) for host, file in found] == [("h1", "a.plot"), ("h1", "b.plot")]
    assert inventory.file_text(*found[0]) == ("9 B", "k32 C7 bladebit", "h1:/f/a.plot")
    assert missing == {"quiet": "the harvester is silent"}


def test_a_file_in_words() -> None:
    fault = FileRow(drive="/f", name="x", size_bytes=0, reason="truncated: 5 of 9 bytes")
    assert inventory.file_text("h1", fault)[1] == "no whole plot: truncated: 5 of 9 bytes"
    group = FileRow(
        drive="/f", name="x", size_bytes=0, plots=32, plot_class=PlotClass(format="PoS2 02", k=28, strength=2)
    )
    assert inventory.file_text("h1", group)[1] == "k28 plot group, strength 2, 32 plots"


def test_errors_are_for_users() -> None:
    assert issubclass(inventory.NoSuchDrive, PlotmanError)
