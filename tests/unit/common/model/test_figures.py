"""Figures of a snapshot that cannot be true."""

from __future__ import annotations

import json
from typing import Any

import pytest

from common.model.plot_class import InventorySums
from common.model.snapshot import HarvesterSnapshot, PlotterSnapshot, Tally
from tests.support import full_farm
from tests.support.paper import GB

ABSURD = (-1, -(2**62), 2**62)


def read(text: str) -> HarvesterSnapshot:
    """As the notice board is read."""
    return HarvesterSnapshot.model_validate_json(text, strict=True)


@pytest.mark.parametrize("absurd", ABSURD)
def test_a_drive_whose_figures_cannot_be_true_counts_for_nothing_and_its_host_is_still_read(
    absurd: int,
) -> None:
    figures = ("free_bytes", "total_bytes", "plots", "reserved_bytes", "incoming")
    raw = json.loads(full_farm.harvester(full_farm.drive()).model_dump_json())
    raw["drives"] = [{**raw["drives"][0], name: absurd} for name in figures]
    found = read(json.dumps(raw)).drives
    assert [getattr(drive, name) for drive, name in zip(found, figures, strict=True)] == [None, None, 0, 0, 0]
    assert found[0].total_bytes == 16_000 * GB, "its other figures count"


@pytest.mark.parametrize("absurd", ABSURD)
@pytest.mark.parametrize("model", [Tally, InventorySums], ids=["tally", "inventory"])
def test_sums_that_cannot_be_true_are_none(model: type[Any], absurd: int) -> None:
    numbers = [name for name, field in model.model_fields.items() if field.default == 0]
    assert len(numbers) > 3
    made = model(**dict.fromkeys(numbers, absurd))
    assert {getattr(made, name) for name in numbers} == {0}


def test_limits_below_zero_are_zero_and_absurd_ones_no_more_than_plotman_yaml_allows() -> None:
    made = full_farm.plotter(global_max_jobs=-5)
    assert made.global_max_jobs == 0
    raw = made.model_dump(mode="json") | {"global_max_jobs": 2**62}
    assert PlotterSnapshot.model_validate_json(json.dumps(raw), strict=True).global_max_jobs == 1_000_000


@pytest.mark.parametrize("percent", [-1, 101, 1e29])
def test_a_percent_is_one_of_a_hundred_or_not_known(percent: float) -> None:
    assert full_farm.job(percent=percent).percent is None
    assert full_farm.job(percent=100.0).percent == 100
