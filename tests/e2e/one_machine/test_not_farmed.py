"""A plot arrives on a drive that the real chia harvester of the machine does not search."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.support.farm import Farm
from tests.support.ports import free_port
from tests.support.waiting import eventually

pytestmark = pytest.mark.plotter


def test_it_is_reported_once_and_until_the_drive_is_added(
    farm: Farm, chia_root: Path, tmp_path: Path
) -> None:
    root = tmp_path / "chia"
    shutil.copytree(chia_root, root)
    settings = root / "config" / "config.yaml"
    config = yaml.safe_load(settings.read_text(encoding="utf-8"))
    config["harvester"] |= {"rpc_port": free_port(), "plot_directories": []}
    settings.write_text(yaml.safe_dump(config), encoding="utf-8")
    with_root = ("env", f"CHIA_ROOT={root}")

    farm.configure(tmp=1, dst=1, drives=1, harvester={"chia_root": str(root)})
    farm.allow(plots=1)
    farm.spawn(*with_root, str(farm.chia.parent / "chia_harvester"), log="chia.log")
    farm.up()
    (drive,) = (farm.folder / "drives").iterdir()

    eventually(farm.archived, "the plot is on its drive", 120)
    eventually(lambda: farm.events("not-farmed"), "it is reported", 90)
    sentence = f"chia does not search {drive}: its plots are not farmed. Run `chia plots add -d {drive}`."
    eventually(lambda: sentence in farm.run("status").stdout, "status shows it")
    eventually(lambda: _farmed(farm) == (False, 1, 0, 1), "the plot is in the inventory")

    added = farm.spawn(*with_root, str(farm.chia), "plots", "add", "-d", str(drive), log="add.log")
    assert added.wait(timeout=60) == 0
    eventually(lambda: sentence not in farm.run("status").stdout, "chia searches the drive", 120, every_s=1)
    assert _farmed(farm) == (True, 1, 0, 1), "it has no farmer, so that it opens no plot"
    assert len(farm.events("not-farmed")) == 1


def _farmed(farm: Farm) -> tuple[bool, int, int, int]:
    (row,) = json.loads(farm.run("inventory", "--farmed", "--json").stdout)["drives"]
    return row["searched"], row["files"], row["farmed"], row["unopened"]
