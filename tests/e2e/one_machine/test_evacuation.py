"""A drive is emptied by `plotman evacuate`: real plots, on drives that are file systems of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from common.system.evacuations import ordered
from common.system.plotfile import expected_size_bytes, read_header
from tests.support.bad_drive import BadDrive
from tests.support.bench import small_drive
from tests.support.farm import HOST, Farm
from tests.support.waiting import eventually


@pytest.fixture
def mounts() -> Iterator[ExitStack]:
    with ExitStack() as mounted:
        yield mounted


def plots(drive: Path) -> dict[str, bytes]:
    found = {}
    for plot in drive.glob("*.plot"):
        with suppress(FileNotFoundError):  # it leaves at this moment
            found[plot.name] = plot.read_bytes()
    return found


@pytest.mark.timeout(300)
def test_all_plots_of_a_drive_move_to_another_and_it_stays_drained(farm: Farm, mounts: ExitStack) -> None:
    old, new = farm.folder / "drives" / "1", farm.folder / "drives" / "2"
    mounts.enter_context(small_drive(old, "100m"))
    farm.configure(tmp=1, dst=1, drives=0)
    farm.allow(3)
    farm.up()
    eventually(lambda: len(plots(old)) == 3, "three plots are on the drive", 120)
    eventually(lambda: not list(farm.folder.glob("dst/*/*.plot")), "their sources are deleted")
    before = plots(old)
    (old / "photos.tar").write_bytes(b"not a plot")
    mounts.enter_context(small_drive(new, "100m"))

    asked = farm.run("evacuate", f"{HOST}:{old}")
    assert asked.returncode != 0, "nobody agreed"
    assert f"{HOST}:{old} has 3 plots" in asked.stderr
    assert plots(old) == before
    ran = farm.run("evacuate", f"{HOST}:{old}", "--yes", "--json", "--reason", "it clicks")
    assert ran.returncode == 0, ran.stderr
    (answer,) = json.loads(ran.stdout)["answers"]
    assert answer["answer"].startswith(f"{HOST} evacuates {old}: 3 plots, ")

    eventually(lambda: plots(new) == before and not plots(old), "all have moved", 120)
    for plot in new.glob("*.plot"):
        assert plot.stat().st_size == expected_size_bytes(read_header(plot))
    (told,) = eventually(lambda: farm.events("evacuated"), "it is told", 30)
    assert told.text.startswith(f"{old} was evacuated: 3 plots moved in 0:0")
    assert told.text.endswith("1 file stays: photos.tar: not named like a plot")
    eventually(lambda: not ordered(farm.state), "the order is done")
    assert (old / "photos.tar").read_bytes() == b"not a plot"
    assert not (old / ".incoming" / "evacuating").exists()
    word = next(drive.word for drive in farm.harvester().drives if drive.path == str(old))
    assert word == "draining"
    assert len(farm.events("moved")) == 3, "each once"
    assert len(farm.events("archived")) == 3, "moving is no archiving"


@pytest.mark.timeout(400)
def test_a_plot_that_cannot_be_read_is_skipped_and_one_that_another_drive_has_is_not_copied(
    farm: Farm, mounts: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = farm.folder / "drives" / "1", farm.folder / "drives" / "2"
    mounts.enter_context(small_drive(old, "100m"))
    drives = BadDrive(farm.folder, monkeypatch)
    farm.configure(tmp=1, dst=1, drives=0)
    farm.allow(3)
    farm.up()
    eventually(lambda: len(plots(old)) == 3, "three plots are on the drive", 120)
    eventually(lambda: not list(farm.folder.glob("dst/*/*.plot")), "their sources are deleted")
    before = plots(old)
    bad, twin, _ = sorted(before)
    mounts.enter_context(small_drive(new, "100m"))
    (new / twin).write_bytes(before[twin])
    drives.cannot_read(f"{old}/{bad}")

    assert farm.run("evacuate", f"{HOST}:{old}", "--yes").returncode == 0
    eventually(lambda: set(plots(old)) == {bad}, "the others have left", 120)

    def why() -> str:
        return farm.run("why", str(old)).stdout

    eventually(lambda: f"{bad}: " in why() and "Input/output error" in why(), "the bad one is named", 90)
    eventually(lambda: "evacuating: 2 of " in farm.run("dirs").stdout, "how far it is", 30)
    logs = "".join(log.read_text(encoding="utf-8") for log in farm.folder.rglob("*.log"))
    assert f"{twin} was read, for a comparison" in logs, "it was not copied"
    assert set(plots(new)) == set(before) - {bad}

    drives.works()
    eventually(lambda: plots(new) == before and not plots(old), "it leaves once it can be read", 120)
    eventually(lambda: farm.events("evacuated"), "that is the end", 60)
