"""A drive that gives back other bytes than it got is not its plot's fault."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from common.system.delivered import DeliveredFile
from tests.support.bad_drive import BadDrive
from tests.support.farm import HOST, Farm
from tests.support.site import id_of
from tests.support.waiting import eventually


def test_a_plot_whose_copy_was_damaged_by_its_drive_goes_to_another_by_itself(
    farm: Farm, real_plot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm.configure(tmp=1, dst=1, drives=1, harvester={"read_back": True})
    farm.allow(0)
    source = farm.folder / "dst" / "1" / real_plot.name
    shutil.copy(real_plot, source)
    BadDrive(farm.folder, monkeypatch).flips("/drives/1/.incoming/")
    farm.up()

    (told,) = eventually(lambda: farm.events("drive-failed"), "it is told", 60)
    failed = (
        f"{farm.folder}/drives/1 failed while it took a plot: {id_of(real_plot)}.part reads back with digest"
    )
    assert told.text.startswith(failed)
    known = DeliveredFile(farm.state)
    eventually(lambda: known.harvester_of(str(source)) is None, "nobody has a copy, wiped board or not", 10)
    waits = f"No drive of {HOST} takes {real_plot.name}"
    eventually(lambda: farm.waits().get("retry", "").startswith(waits), "the drive is not tried again", 60)

    (farm.folder / "drives" / "2").mkdir()
    (landed,) = eventually(farm.archived, "the plot is on another drive", 90)
    assert landed.read_bytes() == real_plot.read_bytes()
    eventually(lambda: not source.exists(), "the source is deleted", 30)
    assert len(farm.events("drive-failed")) == 1
    assert farm.events("refused") == []
    assert list((farm.folder / "drives" / "1" / ".incoming").glob("*.refused")), "for a look"
