"""Limits of an order on a machine, with what its own plotman.yaml says."""

from __future__ import annotations

import pytest

from common.model.replot_order import ReplotOrder
from harvester_worker.replot.settings import ReplotSettings

CLASSES = [{"name": "og", "k": 32}]


@pytest.mark.parametrize(
    ("ordered", "own", "margin", "low_water"),
    [(5, None, 0, 5), (5, 3, 0, 3), (5, 0, 0, 0), (5, None, 7, 7), (5, 3, 4, 4), (5, 9, 4, 9)],
)
def test_low_water_is_this_machine_s_or_the_order_s_and_no_less_than_its_margin(
    ordered: int, own: int | None, margin: int, low_water: int
) -> None:
    order = ReplotOrder.read(host="h1", classes=CLASSES, low_water_bytes=ordered)
    assert ReplotSettings(True, 30, own, margin).limits(order).low_water_bytes == low_water


@pytest.mark.parametrize(
    ("allowed", "proofs", "why"), [(True, 1, None), (False, 30, "harvester.replot"), (True, 0, "proofs")]
)
def test_both_keys_of_plotman_yaml_must_allow_it(allowed: bool, proofs: int, why: str | None) -> None:
    found = ReplotSettings(allowed, proofs, None, 0).why_not
    assert found == why or (why and found and why in found)
