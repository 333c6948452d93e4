"""The pages with the first files of a class on each drive."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from common.errors import OrderRefused
from common.model.inventory import MOST_ROWS, DriveRow, InventoryOrder, InventoryPage
from common.model.plot_class import PlotClass
from harvester_worker.inventory.answers import answer
from harvester_worker.inventory.entry import Entry, Stamp
from harvester_worker.inventory.inventory import Inventory
from harvester_worker.inventory.store import InventoryStore

C7 = PlotClass(format="bladebit 2", k=32, compression=7)
PLAIN = PlotClass(format="v1.0", k=32, compression=0)


def plot(of: PlotClass, made: int = 202105) -> Entry:
    return Entry(of, 1, bytes(32), 0, made)


class Drives:
    """Drives /d/0, /d/1, ... of which /d/lost does not count."""

    def __init__(self, file: Path, count: int) -> None:
        self.store = InventoryStore(file)
        self._drives = [*(f"/d/{number}" for number in range(count)), "/d/lost"]
        for drive in self._drives:
            files = [(name, Stamp(100, 5, 6), plot(PLAIN)) for name in (b"c", b"a", b"b")]
            self.store.put(drive, files)
            self.store.put(
                drive, [(b"0", Stamp(90, 5, 6), plot(C7)), (b"1", Stamp(1, 1, 1), Entry(reason="x"))]
            )
            self.store.put(
                drive, [(b"9", Stamp(90, 5, 6), plot(PLAIN, 0)), (b"8", Stamp(9, 5, 6), plot(PLAIN, 202211))]
            )

    def rows(self, only: str | None = None) -> tuple[list[DriveRow], list[Any]]:
        rows = [DriveRow(drive=drive, state="active", counts=drive != "/d/lost") for drive in self._drives]
        return [row for row in rows if only in (None, row.drive)], []

    def ask(self, **more: Any) -> dict[str, Any]:
        order = InventoryOrder(host="h1", what=InventoryPage.CLASSED, **more)
        return answer(cast(Inventory, self), order)


@pytest.fixture
def drives(tmp_path: Path) -> Drives:
    return Drives(tmp_path / "state" / "inventory.sqlite3", 2)


def names(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(file["drive"], file["name"]) for file in found["files"]]


def test_the_first_files_of_the_classes_are_listed_for_each_drive_that_counts(drives: Drives) -> None:
    found = drives.ask(classes=(PLAIN,), limit=2)
    assert names(found) == [("/d/0", "8"), ("/d/0", "9"), ("/d/1", "8"), ("/d/1", "9")]
    assert found["next"] is None
    assert names(drives.ask(classes=(C7, PLAIN), limit=1, drive="/d/1")) == [("/d/1", "0")]


def test_a_month_leaves_out_later_plots_and_those_whose_month_is_not_known(drives: Drives) -> None:
    found = drives.ask(classes=(PLAIN,), made_before="2022-01", drive="/d/0")
    assert [name for _, name in names(found)] == ["a", "b", "c"]
    found = drives.ask(classes=(PLAIN,), made_before="2021-05", drive="/d/0")
    assert names(found) == []


def test_no_class_or_an_unknown_one_has_no_files(drives: Drives) -> None:
    assert names(drives.ask()) == []
    assert names(drives.ask(classes=(PlotClass(format="v1.0", k=33, compression=0),))) == []


def test_a_page_has_whole_drives_and_names_the_next_one(tmp_path: Path) -> None:
    many = Drives(tmp_path / "state" / "inventory.sqlite3", 3)
    found = many.ask(classes=(PLAIN,), limit=MOST_ROWS)
    assert ({drive for drive, _ in names(found)}, found["next"]) == ({"/d/0"}, "1")
    found = many.ask(classes=(PLAIN,), limit=MOST_ROWS, after="2")
    assert ({drive for drive, _ in names(found)}, found["next"]) == ({"/d/2"}, None)
    with pytest.raises(OrderRefused):
        many.ask(classes=(PLAIN,), after="x")
