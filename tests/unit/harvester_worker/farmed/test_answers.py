"""The answer to `plotman inventory --farmed`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from common.errors import OrderRefused
from common.model.inventory import InventoryOrder, InventoryPage
from common.model.plot_class import PlotClass
from harvester_worker.farmed import answers, chia_rpc
from harvester_worker.farmed.answers import farmed_answer
from harvester_worker.farmed.chia_rpc import ChiaView
from harvester_worker.farmed.watch import FarmedWatch
from harvester_worker.inventory.entry import Entry, Stamp
from harvester_worker.inventory.store import InventoryStore

PLAIN = PlotClass(format="v1.0", k=32)


@pytest.fixture
def inventory(tmp_path: Path) -> Any:
    store = InventoryStore(tmp_path / "inventory.sqlite3")
    for drive in ("/f/1", "/f/2"):
        names = [b"a.plot", b"b.plot", b"c.plot"]
        rows = [(name, Stamp(5, 1, 1), Entry(PLAIN, 1, bytes(32), 0, 202611)) for name in names]
        store.put(drive, [*rows, (b"bad.plot", Stamp(0, 1, 1), Entry(reason="empty"))])
    return SimpleNamespace(store=store, counting=lambda: ["/f/1", "/f/2"])


def asked(inventory: Any, tmp_path: Path, root: str | None = "/chia", **order: Any) -> dict[str, Any]:
    watch = FarmedWatch("h1", root, tmp_path / "told.json", lambda _: None)
    try:
        return farmed_answer(
            inventory, watch, InventoryOrder.read(host="h1", what=InventoryPage.FARMED.value, **order)
        )
    finally:
        watch.stop()


def test_what_chia_farms_of_the_inventory(
    inventory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = ChiaView(frozenset({"/f/1/a.plot"}), frozenset({"/f/1/b.plot"}), ("/f/1",))
    monkeypatch.setattr(chia_rpc, "ask", lambda _: view)
    monkeypatch.setattr(answers, "_PAGE", 2)
    answer = asked(inventory, tmp_path)
    assert answer["farmed"] == [
        {"drive": "/f/1", "searched": True, "files": 3, "farmed": 1, "failed": 1},
        {"drive": "/f/2", "searched": False, "files": 3, "farmed": 0, "failed": 0},
    ]
    assert [(file["drive"], file["name"], file["reason"]) for file in answer["files"]] == [
        ("/f/1", "b.plot", "chia cannot open it"),
        ("/f/1", "c.plot", "chia has not opened it"),
        ("/f/2", "a.plot", "chia does not search its folder"),
        ("/f/2", "b.plot", "chia does not search its folder"),
        ("/f/2", "c.plot", "chia does not search its folder"),
    ]
    assert len(asked(inventory, tmp_path, limit=1)["files"]) == 1
    assert [row["drive"] for row in asked(inventory, tmp_path, drive="/f/2")["farmed"]] == ["/f/2"]


def test_without_a_chia_root_the_answer_says_what_to_do(inventory: Any, tmp_path: Path) -> None:
    with pytest.raises(OrderRefused, match=r"Set harvester\.chia_root"):
        asked(inventory, tmp_path, root=None)


def test_a_drive_that_is_not_there_is_refused(inventory: Any, tmp_path: Path) -> None:
    with pytest.raises(OrderRefused, match="/f/9 is no drive of h1"):
        asked(inventory, tmp_path, drive="/f/9")
