"""Classes of plots as a farmer calls them."""

from __future__ import annotations

import pytest

from common.model.plot_class import PlotClass, PoolKind
from common.model.plots_in_words import class_text, pool_text


@pytest.mark.parametrize(
    ("plots", "text"),
    [
        (PlotClass(format="v1.0", k=32, compression=0), "k32 uncompressed"),
        (PlotClass(format="bladebit 2", k=32, compression=7), "k32 C7 bladebit"),
        (PlotClass(format="bladebit 2", k=32, compression=0), "k32 uncompressed bladebit"),
        (PlotClass(format="mmx-v2.4", k=32, compression=12), "k32 C12 Gigahorse (mmx-v2.4)"),
        (PlotClass(format="mmx-v2.4", k=33), "k33 Gigahorse (mmx-v2.4)"),
        (PlotClass(format="PoS2 02", k=28, compression=0, strength=2), "k28 plot group, strength 2"),
        (
            PlotClass(format="pos2 01", k=28, compression=0, strength=2, unfarmable=True),
            "k28 PoS2, old, strength 2 (not farmable)",
        ),
        (PlotClass(format="bladebit 9"), "bladebit 9"),
        (PlotClass(format="others"), "others"),
    ],
)
def test_classes(plots: PlotClass, text: str) -> None:
    assert class_text(plots) == text


def test_pools() -> None:
    contract = PlotClass(format="v1.0", pool=PoolKind.CONTRACT, pool_key="05" * 32)
    key = PlotClass(format="v1.0", pool=PoolKind.KEY, pool_key="ab" * 48)
    assert (pool_text(contract), pool_text(key)) == ("contract 05050505", "pool key abababab")
    assert pool_text(PlotClass(format="v1.0")) == "?"
    assert pool_text(PlotClass(format="v1.0", pool=PoolKind.KEY)) == "pool key"
