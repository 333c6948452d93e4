"""Plots that are in several files of the farm; the harvesters' stores are real."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from common.errors import PlotmanError
from common.model.inventory import InventoryOrder
from common.model.plot_class import PlotClass
from harvester_worker.inventory import answers
from harvester_worker.inventory.entry import Entry, Stamp
from harvester_worker.inventory.store import InventoryStore
from plotman.control.queries import duplicate_plots
from plotman.control.queries.duplicate_plots import DuplicatePlot, find
from plotman.control.rpc import NoAnswer, TaskCall, checked

PLAIN = PlotClass(format="v1.0", k=32, compression=0)


class Farm:
    """Harvesters by their stores. altered: changes a host's answer."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.stores: dict[str, InventoryStore] = {}
        self.files: dict[str, int] = {}
        self.altered: dict[str, Callable[[TaskCall, dict[str, Any]], Any]] = {}
        self.missing: dict[str, str] = {}
        self.calls = 0
        monkeypatch.setattr(duplicate_plots, "ask_each", self._ask_each)

    def has(self, host: str, *plots: int, drive: str = "/f/1", meta_group: int = 0, size: int = 5) -> None:
        store = self.stores.setdefault(host, InventoryStore(self.folder / host))
        rows = [
            (f"{number}-{meta_group}.plot".encode(), Stamp(size, 1, 1),
             Entry(PLAIN, 1, number.to_bytes(32, "big"), meta_group, 202611))
            for number in plots
        ]  # fmt: skip
        store.put(drive, rows)
        self.files[host] = self.files.get(host, 0) + len(plots)

    def find(self) -> list[DuplicatePlot]:
        return list(find(self.files, self.missing))

    def places(self) -> dict[int, list[tuple[str, str]]]:
        return {
            int(one.plot_id, 16): [(host, f"{file.drive}/{file.name}") for host, file in one.places]
            for one in self.find()
        }

    def _ask_each(self, calls: list[TaskCall], **_: Any) -> list[Any]:
        return [self._answer(call) for call in calls]

    def _answer(self, call: TaskCall) -> Any:
        self.calls += 1
        order = InventoryOrder.read(host=call.host, **call.kwargs)
        try:
            answer = {"host": call.host, **answers._stored(self.stores[call.host], order, ["/f/1", "/f/2"])}
        except PlotmanError as error:
            return error
        change = self.altered.get(call.host)
        answer = change(call, answer) if change else answer
        return answer if isinstance(answer, PlotmanError) else checked(call.task, call.host, answer)


@pytest.fixture
def farm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Farm:
    return Farm(tmp_path, monkeypatch)


def test_copies_on_one_host_and_on_several(farm: Farm) -> None:
    farm.has("h1", 1, 2, 3)
    farm.has("h1", 3, drive="/f/2")
    farm.has("h2", 2, 4)
    assert farm.places() == {
        2: [("h1", "/f/1/2-0.plot"), ("h2", "/f/1/2-0.plot")],
        3: [("h1", "/f/1/3-0.plot"), ("h1", "/f/2/3-0.plot")],
    }


def test_groups_of_one_id_and_different_meta_groups_are_different_plots(farm: Farm) -> None:
    farm.has("h1", 1, meta_group=1)
    farm.has("h1", 1, drive="/f/2", meta_group=2)
    assert farm.places() == {}
    farm.has("h2", 1, meta_group=2)
    assert farm.places() == {1: [("h1", "/f/2/1-2.plot"), ("h2", "/f/1/1-2.plot")]}


def test_many_plots_are_compared_slice_by_slice(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicate_plots, "MOST_KEYS", 20)
    farm.has("h1", *range(100))
    farm.has("h2", *range(95, 200))
    seen: list[tuple[int, int]] = []
    found = find(farm.files, farm.missing, lambda done, of: seen.append((done, of)))
    assert {int(one.plot_id, 16) for one in found} == {95, 96, 97, 98, 99}
    assert seen == [(number, 11) for number in range(1, 12)]


def test_what_copies_cost(farm: Farm) -> None:
    farm.has("h1", 1, size=100)
    farm.has("h2", 1, size=90)
    farm.has("h3", 1, size=100)
    assert [one.spare_bytes for one in farm.find()] == [190]


def test_a_host_that_does_not_answer_is_missing_and_asked_no_more(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicate_plots, "MOST_KEYS", 20)
    farm.has("h1", *range(50))
    farm.has("h1", 7, drive="/f/2")
    farm.has("h2", 7)
    asked: list[str] = []

    def silent(call: TaskCall, _: Any) -> PlotmanError:
        asked.append(call.host)
        return NoAnswer("h2 does not answer.")

    farm.altered["h2"] = silent
    assert farm.places() == {7: [("h1", "/f/1/7-0.plot"), ("h1", "/f/2/7-0.plot")]}
    assert (farm.missing, asked) == ({"h2": "h2 does not answer."}, ["h2"])


def test_a_host_that_lies_about_keys_makes_no_duplicates_of_others(farm: Farm) -> None:
    farm.has("h1", 1, 2)
    farm.has("liar", 3)
    stolen = farm.stores["h1"].keys(["/f/1"], 0, 1 << 48, 9)

    def lies(call: TaskCall, answer: dict[str, Any]) -> dict[str, Any]:
        if "keys" in answer:
            return answer | {"keys": [*stolen, *stolen, 5, 5]}
        return answer

    farm.altered["liar"] = lies
    assert farm.places() == {}


def test_files_that_were_not_asked_for_are_left_out(farm: Farm) -> None:
    farm.has("h1", 1)
    farm.has("liar", 1)
    row = {"drive": "/x", "name": "y", "size_bytes": 1, "plots": 1, "plot_id": "cd" * 32}

    def more(_: TaskCall, answer: dict[str, Any]) -> dict[str, Any]:
        return answer | {"files": [*answer["files"], row, row]} if "files" in answer else answer

    farm.altered["liar"] = more
    assert list(farm.places()) == [1]


def test_files_are_asked_for_only_of_keys_that_come_twice(farm: Farm) -> None:
    farm.has("h1", 1, 2)
    farm.has("h2", 3, 4)
    assert farm.places() == {}
    assert farm.calls == 2


def test_keys_of_other_slices_are_left_out(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicate_plots, "MOST_KEYS", 2)
    farm.has("h1", 1, 2, 3)
    farm.has("h1", 1, drive="/f/2")
    every = farm.stores["h1"].keys(["/f/1", "/f/2"], 0, 1 << 48, 9)
    farm.altered["h1"] = lambda _, answer: answer | {"keys": every} if "keys" in answer else answer
    assert [int(one.plot_id, 16) for one in farm.find()] == [1]


def test_a_slice_with_more_keys_than_fit_is_refused(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST_KEYS", 2)
    farm.has("h1", 1, 2, 3)
    assert farm.find() == []
    assert "Ask for a smaller one" in farm.missing["h1"]


def test_no_more_are_listed_than_can_be_read(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicate_plots, "DUPLICATES_MAX", 3)
    farm.has("h1", *range(9))
    farm.has("h2", *range(9))
    assert len(farm.find()) == 3


@pytest.mark.parametrize("most", [0, 1, 30_000, 1_000_000, 1 << 62])
def test_slices_cover_all_keys_once(most: int) -> None:
    slices = list(duplicate_plots._slices(most))
    assert (slices[0][0], slices[-1][1]) == (0, 1 << 48)
    assert all(one[1] == other[0] for one, other in pairwise(slices))
    assert len(slices) == min(2000, 2 * most // 60_000 + 1)
