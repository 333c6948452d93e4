"""What the owner wants of a drive, what is reported of each, and which one gets the next plot."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from common import config, names
from common.config.sections.farm import Placement
from common.errors import NoRoom, OrderRefused, TransferFailed
from common.model.messages import Delivery
from common.model.plot_name import PlotName
from common.model.snapshot import DriveUse
from common.store import Board
from common.system.probe import DirReport
from harvester_worker import service
from harvester_worker.drives import part_files, survey
from harvester_worker.tasks import archive
from tests.integration.harvester_worker.drives.test_registry import order
from tests.integration.harvester_worker.test_archiving import delivered
from tests.integration.harvester_worker.test_archiving import order as order_of
from tests.support.plots import write_plot

MB = 1_000_000
SETTINGS = """\
version: [2]
farm: {{host: home, state: {folder}/state, broker: "{broker}"}}
harvester:
  drives: ["{folder}/drives/*"]
  draining: ["{folder}/drives/c*"]
  disabled: ["{folder}/drives/d?"]
  plain_folders: true
  receiver_port: 0
"""


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    made = [tmp_path / name for name in ("one", "two", "three", "four")]
    for folder in made:
        folder.mkdir()
    return made


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A drive at which every look waits until the test ends."""
    place, released = tmp_path / "drives" / "b", threading.Event()
    look = survey.look

    def stuck(path: str, *more: Any) -> DirReport:
        if path == str(place):
            released.wait(60)
        return look(path, *more)

    monkeypatch.setattr(survey, "look", stuck)
    yield place
    released.set()


@pytest.fixture
def harvester(
    tmp_path: Path, board: Board, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[service.Harvester]:
    """As in the worker `harvester@home`, without Celery."""
    for name in ("a", "b", "c", "d1"):
        (tmp_path / "drives" / name).mkdir(parents=True, exist_ok=True)
    file = tmp_path / "plotman.yaml"
    file.write_text(SETTINGS.format(folder=tmp_path, broker=broker_url))
    made = service.Harvester(config.load(file), board)
    monkeypatch.setattr(service.served, "_now", made)
    yield made
    made.drives.probe.close()


def words(farm: Any) -> dict[str, str]:
    farm.drives.refresh()
    return {Path(drive.path).name: drive.word for drive in farm.drives.published()}


def test_a_plot_on_its_way_to_a_drive_lands_there_though_the_drive_is_to_be_drained_meanwhile(
    farm: Callable[..., Any], folders: list[Path], source: Path
) -> None:
    harvester = farm(folders[0])
    ours = order_of(source)
    begun = harvester.reserver.reserve(ours)
    harvester.uses[folders[0]] = DriveUse.DRAINING

    with pytest.raises(NoRoom, match="one: draining"):
        harvester.reserver.reserve(order(1, MB))
    again = harvester.reserver.reserve(ours)

    assert again.part == begun.part
    landed = harvester.admitter.admit(delivered(again))
    assert Path(landed.landed).parent == folders[0]
    assert words(harvester) == {"one": "draining"}


def test_a_disabled_drive_is_neither_looked_at_nor_written_to(
    farm: Callable[..., Any], folders: list[Path], source: Path
) -> None:
    harvester = farm(*folders[:2])
    ours = order_of(source)
    begun = harvester.reserver.reserve(ours)
    harvester.uses = {folders[0]: DriveUse.DISABLED, folders[1]: DriveUse.DISABLED}
    opened = [path.stat().st_atime_ns for path in folders[:2]]

    # Not NoRoom: one of them may have this very plot.
    with pytest.raises(TransferFailed, match=r"one: disabled; .*two: disabled") as refusal:
        harvester.reserver.reserve(order(1, MB))
    assert not isinstance(refusal.value, NoRoom)
    with pytest.raises(TransferFailed, match="one is disabled"):
        harvester.admitter.admit(Delivery(reservation=begun, digest=None))
    harvester.drives.sweep(takes_in=lambda _: False)

    assert words(harvester) == {"one": "disabled", "two": "disabled"}
    assert [path.stat().st_atime_ns for path in folders[:2]] == opened


def test_a_drive_is_full_when_not_even_the_smallest_plot_of_this_host_would_fit(
    farm: Callable[..., Any], mounted_drive: Callable[[int], Path]
) -> None:
    mounts = [mounted_drive(16 * MB), mounted_drive(64 * MB)]
    harvester = farm(*mounts, mounted=True, margin_bytes=MB)
    assert set(words(harvester).values()) == {"active"}
    before = [drive.state_since for drive in harvester.drives.published()]

    with (mounts[1] / f"plot-k18-2026-11-22-15-48-{7:064x}.plot").open("wb") as plot:
        os.posix_fallocate(plot.fileno(), 0, 20 * MB)

    assert list(words(harvester).values()) == ["full", "active"]
    after = [drive.state_since for drive in harvester.drives.published()]
    assert after[0] > before[0]  # since when it is full
    assert after[1] == before[1]


@pytest.mark.parametrize(
    ("placement", "taken"),
    [(Placement.FILL, "one one one"), (Placement.ROUND_ROBIN, "one two three four one")],
)
def test_plots_that_come_one_after_the_other_are_placed_as_configured(
    farm: Callable[..., Any], folders: list[Path], placement: Placement, taken: str
) -> None:
    where = []
    for number in range(len(taken.split())):
        # A new harvester each time: what was before is known from the drives alone.
        made = farm(*folders, placement=placement).reserver.reserve(order(number, MB))
        where.append(Path(made.drive).name)
        part_files.drop(Path(made.part or ""))

    assert where == taken.split()


def test_free_space_is_answered_within_seconds_though_a_drive_hangs(
    hanging: Path, harvester: service.Harvester, tmp_path: Path
) -> None:
    (tmp_path / "drives" / "a" / f"plot-k18-2026-11-22-15-48-{1:064x}.plot").touch()
    held = tmp_path / "drives" / "a"
    begun_s = time.monotonic()

    reserved = harvester.intake.reserve(order(2, 20 * MB))
    told = {Path(drive["path"]).name: drive for drive in archive.free_space(host="home")}

    assert time.monotonic() - begun_s < 5
    assert reserved.drive == str(held)
    assert {name: drive["state"] for name, drive in told.items()} == {
        "a": "active",
        "b": "hanging",
        "c": "draining",
        "d1": "disabled",
    }
    assert all(drive["since"] for drive in told.values())
    one = told["a"]
    assert (one["plots"], one["in_flight"], one["reserved_bytes"]) == (1, 1, 20 * MB)
    figures = os.statvfs(held)
    assert one["free_bytes"] == pytest.approx(figures.f_bavail * figures.f_frsize, rel=0.05)
    unknown = {"free_bytes": None, "plots": None, "in_flight": None, "reserved_bytes": None}
    assert {key: told["b"][key] for key in unknown} == unknown
    assert told["b"]["path"] == str(hanging)
    assert archive.free_space.name == names.FREE_SPACE
    # Once it is known to hang, nobody waits for it.
    begun_s = time.monotonic()
    archive.free_space(host="home")
    assert time.monotonic() - begun_s < 1


def test_plots_are_found_by_name_and_header_and_what_could_not_be_read_is_said(
    harvester: service.Harvester, tmp_path: Path
) -> None:
    drive = tmp_path / "drives" / "a"
    harvester.survey()
    (tmp_path / "drives" / "b").rmdir()
    one, other = write_plot(drive), write_plot(drive)
    empty = drive / f"plot-k18-2026-11-22-15-48-{1:064x}.plot"
    empty.touch()
    lies = drive / f"plot-k25-2026-11-22-12-00-{2:064x}.plot"
    lies.write_bytes(other.read_bytes())
    ids = [name.plot_id for path in (one, empty, lies) if (name := PlotName.parse(path.name))]

    said = archive.find_plots(host="home", plots=ids)

    assert said["found"] == [[ids[0], str(one)]]
    assert [Path(path).name for path in said["unread"]] == ["b", "d1"]
    with pytest.raises(OrderRefused):
        archive.find_plots(host="home", plots=["x"] * 1001)


def test_a_drive_that_is_plugged_in_joins_and_one_that_is_pulled_is_told_of(
    harvester: service.Harvester, tmp_path: Path
) -> None:
    def states() -> dict[str, str]:
        return {Path(drive["path"]).name: drive["state"] for drive in archive.free_space(host="home")}

    assert states() == {"a": "active", "b": "active", "c": "draining", "d1": "disabled"}
    (tmp_path / "drives" / "e").mkdir()
    (tmp_path / "drives" / "a").rmdir()
    assert states() == {"a": "missing", "b": "active", "c": "draining", "d1": "disabled", "e": "active"}
