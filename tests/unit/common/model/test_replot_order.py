"""Orders to replace old plots: what a harvester accepts. A class that it does not understand is none."""

from __future__ import annotations

from typing import Any

import pytest

from common.errors import OrderRefused
from common.model.plot_class import PoolKind
from common.model.replot import OldClass
from common.model.replot_order import ReplotOrder, ReplotSwitch

KEY = "ab" * 48
OG = {"name": "og", "k": 32, "levels": [0], "pool": "key", "pool_key": KEY, "made_before": "2023-01"}
C7 = {"name": "c7", "levels": [7]}


def read(*classes: dict[str, Any], **more: Any) -> ReplotOrder:
    return ReplotOrder.read(host="h1", classes=list(classes), **more)


def test_an_order_names_classes_as_the_planner_compares_them() -> None:
    order = read(OG, C7, low_water_bytes=5, max_per_day=3, by="anna@desk", reason="fork")
    assert [one.old for one in order.classes] == [
        OldClass("og", 32, (0,), PoolKind.KEY, KEY, "2023-01"),
        OldClass("c7", levels=(7,)),
    ]
    assert ReplotOrder.read(**order.kwargs()) == order


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "x"},
        {"name": "x", "k": "32"},
        {"name": "x", "k": 8},
        {"name": "x", "k": True},
        {"name": "x", "levels": []},
        {"name": "x", "levels": [30]},
        {"name": "x", "levels": [0] * 11},
        {"name": "x", "pool": "nft"},
        {"name": "x", "pool_key": "ab"},
        {"name": "x", "pool_key": "AB" * 48},
        {"name": "x", "pool": "contract", "pool_key": KEY},
        {"name": "x", "made_before": "2023-13"},
        {"name": "x", "k": 32, "not_before": "2027-01-01"},
        {"name": "x" * 41, "k": 32},
        {"name": "a\nb", "k": 32},
        {"k": 32},
        {"name": "x", "k": 32, "farmer_key": "ab"},
        5,
        [],
    ],
)
@pytest.mark.parametrize("version", [{}, {"version": 1}])
def test_a_class_that_is_not_understood_refuses_the_order(wrong: Any, version: dict[str, int]) -> None:
    with pytest.raises(OrderRefused):
        read(wrong, **version)


@pytest.mark.parametrize(
    ("classes", "more"),
    [
        ((), {}),
        ((C7, {**C7, "k": 32}), {}),
        ((C7, {"name": "two", "levels": [7], "k": 32}), {}),
        (tuple({"name": f"c{n}", "k": 32, "pool_key": f"{n:064x}"} for n in range(65)), {}),
        ((C7,), {"max_per_day": 0}),
        ((C7,), {"low_water_bytes": -1}),
        ((C7,), {"only_drives": ["/1"], "version": 1}),
    ],
)
def test_an_order_with_wrong_limits_is_refused(classes: tuple[Any, ...], more: dict[str, Any]) -> None:
    with pytest.raises(OrderRefused):
        read(*classes, **more)


def test_a_switch_names_its_host() -> None:
    assert ReplotSwitch.read(host="h1", by="anna@desk").by == "anna@desk"
    with pytest.raises(OrderRefused):
        ReplotSwitch.read(by="anna@desk")
