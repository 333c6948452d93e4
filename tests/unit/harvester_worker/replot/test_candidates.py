"""Which files of the inventory may be old plots: one whole plot of the class, of a size that fits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from common.model.plot_class import PlotClass, PoolKind
from common.model.replot import OldClass
from harvester_worker.inventory.entry import Entry, Stamp
from harvester_worker.inventory.store import StoredFile
from harvester_worker.replot.candidates import may_go

ID = "0f" * 32
K32_BYTES = 108_800_000_000
OG = PlotClass(format="v1.0", k=32, compression=0, pool=PoolKind.KEY, pool_key="ab" * 48)
FILE = StoredFile(
    1,
    "/d1",
    f"plot-k32-2021-05-01-10-00-{ID}.plot".encode(),
    Stamp(K32_BYTES, 1, 1),
    Entry(OG, 1, bytes.fromhex(ID), 0, 202105),
)
OLD = OldClass("og", 32, (0,), made_before="2022-01")


def test_a_whole_plot_of_the_class_may_go() -> None:
    assert may_go(FILE, OLD)


@pytest.mark.parametrize(
    "changed",
    [
        {"name": b"holiday.plot"},
        {"name": b"\xff\xfe.plot"},
        {"stamp": Stamp(0, 1, 1)},
        {"stamp": Stamp(-5, 1, 1)},
        {"stamp": Stamp(K32_BYTES // 3, 1, 1)},
        {"stamp": Stamp(K32_BYTES * 3, 1, 1)},
        {"entry": {"plots": 0}},
        {"entry": {"plots": 2}},
        {"entry": {"plot_id": None}},
        {"entry": {"plot_class": None}},
        {"entry": {"plot_class": OG.model_copy(update={"k": 33})}},
        {"entry": {"plot_class": OG.model_copy(update={"compression": None})}},
        {"entry": {"made": 0}},
        {"entry": {"made": 202201}},
    ],
)
def test_any_other_file_stays(changed: dict[str, Any]) -> None:
    entry = replace(FILE.entry, **changed.pop("entry", {}))
    assert not may_go(replace(FILE, entry=entry, **changed), OLD)
