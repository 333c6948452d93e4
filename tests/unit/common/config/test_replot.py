"""The section `replot`: classes of old plots, refused where they could mean more than the owner thinks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from common.config import loader
from common.config.sections.replot import Replot
from common.model.plot_class import PoolKind
from common.model.replot import OldClass

OG = {"k": 32, "compression": 0, "pool": "key"}


def problems(tmp_path: Path, replot: Any) -> list[str]:
    file = tmp_path / "plotman.yaml"
    content = {"version": [2], "farm": {"host": "desk"}, "replot": replot}
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return [f"{one.key}: {one}" for one in loader.read(file).problems]


def test_classes_keep_the_order_in_which_they_stand() -> None:
    replot = Replot.model_validate(
        {
            "classes": {
                "z-og": OG,
                "a-c7": {"compression": [5, 7], "made_before": "2023-01"},
                "nft": {"compression": 0, "pool_key": "0x" + "AB" * 32},
            }
        }
    )
    assert replot.old == (
        OldClass("z-og", 32, (0,), PoolKind.KEY),
        OldClass("a-c7", levels=(5, 7), made_before="2023-01"),
        OldClass("nft", levels=(0,), pool_key="ab" * 32),
    )


def test_defaults_assume_nothing() -> None:
    replot = Replot()
    assert (replot.old, replot.fork_height, replot.max_per_day) == ((), None, None)
    assert (replot.start, replot.v2_weight) == ("fork", 1.0)


def test_a_date_needs_no_quotes(tmp_path: Path) -> None:
    file = tmp_path / "plotman.yaml"
    file.write_text("version: [2]\nfarm: {host: desk}\nreplot: {start: 2027-02-28}\n")
    config = loader.load(file)
    assert config.replot is not None
    assert config.replot.start == "2027-02-28"


@pytest.mark.parametrize(
    ("replot", "what"),
    [
        ({"classes": {"any": {}}}, "names no plots"),
        ({"classes": {"any": {"k": None, "pool": None}}}, "names no plots"),
        ({"classes": {"any": {"generation": "v1"}}}, "unknown key"),
        ({"classes": {"og": OG | {"strength": 2}}}, "unknown key"),
        ({"classes": {"og": OG | {"compresion": 0}}}, "Did you mean compression?"),
        ({"classes": {"og": OG, "all": {"k": 32}}}, "both classes og and all"),
        ({"classes": {"a": OG | {"made_before": "2020-01"}, "b": OG}}, "both classes a and b"),
        ({"classes": {"og plots": OG}}, "is not a name"),
        ({"classes": {"og": OG | {"k": 51}}}, "more than 50"),
        ({"classes": {"og": OG | {"compression": 30}}}, "more than 9"),
        ({"classes": {"og": OG | {"compression": []}}}, "compression"),
        ({"classes": {"og": OG | {"compression": True}}}, "compression"),
        ({"classes": {"og": OG | {"pool": "nft"}}}, "is none of key, contract"),
        ({"classes": {"og": OG | {"pool_key": "ab" * 32}}}, "pool is key, and pool_key is a contract's"),
        ({"classes": {"og": OG | {"pool": "contract", "pool_key": "ab" * 48}}}, "is a public key of a pool"),
        ({"classes": {"og": OG | {"pool_key": "abab"}}}, "is neither a contract's puzzle hash"),
        ({"classes": {"og": OG | {"made_before": "2023-13"}}}, "is not a year and month"),
        ({"classes": {"og": OG | {"made_before": "2023-01-01"}}}, "is not a year and month"),
        ({"start": "soon"}, "is neither now, fork, nor a date"),
        ({"start": "2027-02-30"}, "is neither now, fork, nor a date"),
        ({"fork_height": 0}, "0"),
        ({"v2_weight": 0}, "is not more than 0"),
        ({"v2_weight": float("nan")}, "v2_weight"),
        ({"max_per_day": 0}, "max_per_day"),
        ({"low_water_bytes": -1}, "low_water_bytes"),
        ({"dry_run": True}, "unknown key"),
    ],
    ids=str,
)
def test_a_mistake_is_refused_where_it_stands(tmp_path: Path, replot: Any, what: str) -> None:
    found = problems(tmp_path, replot)
    assert found
    assert what in found[0]
    assert "replot" in found[0]
