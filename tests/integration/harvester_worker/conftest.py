"""Real plots, and drives made of folders or of loop devices."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from common.config.sections.farm import Placement
from common.model.snapshot import DriveUse
from common.store import Board
from common.system.probe import Probe
from harvester_worker.drives.registry import DriveRegistry
from harvester_worker.intake.admit import Admitter
from harvester_worker.intake.reserve import Limits, Reserver
from harvester_worker.receiver.connection import TIMEOUTS, ReceiverTimeouts
from harvester_worker.receiver.receivers import EndedTransfer, Receivers
from tests.support.receiver import House
from tests.support.site import HERE, THERE, Machines, Site


@pytest.fixture
def source(real_plot: Path, tmp_path: Path) -> Path:
    """A copy of the plot in a plotter's dst directory."""
    dst = tmp_path / "dst"
    dst.mkdir()
    return Path(shutil.copy(real_plot, dst))


class Farm:
    """A harvester without Celery, Redis or configuration."""

    def __init__(self, *paths: Path, mounted: bool, limits: Limits) -> None:
        self.looks, self.work = Probe(), Probe()
        self.uses: dict[Path, DriveUse] = {}  # what the owner wants; a drive that is not named is active
        self.drives = DriveRegistry(
            lambda: [str(path) for path in paths],
            not mounted,
            self.looks,
            lambda path: self.uses.get(Path(path), DriveUse.ACTIVE),
            limits.margin_bytes,
        )
        self.reserver = Reserver(self.drives, limits)
        self.admitter = Admitter(self.drives, self.work, 30)


@pytest.fixture
def farm() -> Iterator[Callable[..., Farm]]:
    made: list[Farm] = []

    def make(
        *paths: Path,
        mounted: bool = False,
        margin_bytes: int = 0,
        writers: int = 1,
        placement: Placement = Placement.FILL,
    ) -> Farm:
        limits = Limits(margin_bytes, writers, placement)
        made.append(Farm(*paths, mounted=mounted, limits=limits))
        return made[-1]

    yield make
    for one in made:
        one.looks.close()
        one.work.close()


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    path = tmp_path / "drive"
    path.mkdir()
    return path


@pytest.fixture
def mounted_drive(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes ext4 drives of this size in bytes, mounted from a file; needs root and loop devices."""
    if os.geteuid() != 0 or not Path("/dev/loop-control").exists() or not shutil.which("mkfs.ext4"):
        pytest.skip("mounting a drive needs root, loop devices and mkfs.ext4")
    mounted: list[Path] = []

    def make(size_bytes: int) -> Path:
        number = len(mounted)
        image, place = tmp_path / f"image{number}", tmp_path / f"mount{number}"
        place.mkdir()
        with image.open("wb") as file:
            file.truncate(size_bytes)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True, capture_output=True)
        done = subprocess.run(["mount", "-o", "loop", image, place], check=False, capture_output=True)
        if done.returncode != 0:
            pytest.skip(f"mount does not work here: {done.stderr.decode().strip()}")
        mounted.append(place)
        return place

    yield make
    for place in mounted:
        subprocess.run(["umount", "-l", place], check=False, capture_output=True)


@pytest.fixture
def make_house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    made: list[House] = []

    def make(
        size_bytes: int = 8 << 20,
        drive: Path | None = None,
        timeouts: ReceiverTimeouts = TIMEOUTS,
        tls: bool = False,
    ) -> House:
        ended: list[EndedTransfer] = []
        receivers = Receivers(tmp_path / "receivers", "127.0.0.1", 0, ended.append, timeouts, tls=tls)
        house = House(tmp_path, receivers, ended)
        if drive is not None:
            (tmp_path / "drive").symlink_to(drive)
        house.incoming.mkdir(parents=True)
        house.source.parent.mkdir()
        house.part.touch()
        house.source.write_bytes(os.urandom(size_bytes))
        made.append(house)
        return house

    yield make
    for house in made:
        house.receivers.stop()


@pytest.fixture
def site(farm: Callable[..., Any], drive: Path, board: Board, tmp_path: Path) -> Iterator[Site]:
    other = tmp_path / "drive2"
    other.mkdir()
    made = Site(farm(drive, other), board, tmp_path)
    yield made
    made.intake.stop()


@pytest.fixture(params=[HERE, THERE], ids=["one machine", "receiver"])
def machines(site: Site, request: pytest.FixtureRequest) -> Iterator[Machines]:
    made = Machines(site, request.param)
    yield made
    made.archiver.stop()


@pytest.fixture
def plotter(site: Site) -> Iterator[Machines]:
    made = Machines(site, HERE)
    yield made
    made.archiver.stop()
