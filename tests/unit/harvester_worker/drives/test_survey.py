"""What one look at a drive tells, and what of it was found before."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from common.system.mounts import Mounts
from common.system.probe import look
from harvester_worker.drives import part_files
from harvester_worker.drives.survey import DriveSurveyor
from tests.support.waiting import eventually

ID = "0f" * 32


class Listings:
    """Looks at a drive, and how often its folder was listed. later_s: how long ago the folder was made."""

    def __init__(self, drive: Path, monkeypatch: pytest.MonkeyPatch, kind: str = "ext4") -> None:
        self.drive, self.count, self.later_s = drive, 0, 60.0
        self.mounts = Mounts({"/": kind}, {drive.stat().st_dev: kind}, frozenset())
        self.looker = DriveSurveyor()
        clock, scandir = time.time, os.scandir
        monkeypatch.setattr(time, "time", lambda: clock() + self.later_s)

        def counted(path: str) -> object:
            self.count += 1
            return scandir(path)

        monkeypatch.setattr(os, "scandir", counted)

    def plots(self) -> int:
        return self.looker.survey(str(self.drive), False, lambda: self.mounts).plots


@pytest.fixture
def listings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Listings:
    return Listings(tmp_path, monkeypatch)


def test_a_drive_on_which_nothing_comes_or_goes_is_listed_once(listings: Listings) -> None:
    (listings.drive / "one.plot").touch()

    assert [listings.plots(), listings.plots(), listings.plots()] == [1, 1, 1]
    assert listings.count == 1


def put(drive: Path) -> None:
    (drive / "two.plot").touch()


def put_secretly(drive: Path) -> None:
    """As rsync and cp do: the folder gets the time it had."""
    before = drive.stat().st_mtime_ns
    put(drive)
    os.utime(drive, ns=(before, before))


def take(drive: Path) -> None:
    (drive / "one.plot").unlink()


def rename(drive: Path) -> None:
    (drive / "one.plot").rename(drive / "one.refused")


@pytest.mark.parametrize(("change", "plots"), [(put, 2), (put_secretly, 2), (take, 0), (rename, 0)])
def test_each_name_that_comes_or_goes_is_seen(
    listings: Listings, change: Callable[[Path], None], plots: int
) -> None:
    (listings.drive / "one.plot").touch()
    assert listings.plots() == 1
    passed = listings.drive.parent / "clock"
    eventually(lambda: _touched_ns(passed) > listings.drive.stat().st_ctime_ns, "the kernel's clock ticks")

    change(listings.drive)

    assert listings.plots() == plots


def _touched_ns(path: Path) -> int:
    path.write_text("")
    return path.stat().st_ctime_ns


def test_a_folder_that_changed_just_now_is_listed_again_since_a_further_change_may_keep_its_ctime(
    listings: Listings,
) -> None:
    listings.later_s = 0
    listings.plots()
    listings.plots()

    assert listings.count == 2


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.mergerfs", "exfat"])
def test_folders_on_file_systems_with_unreliable_ctime_are_listed_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    listings = Listings(tmp_path, monkeypatch, kind)
    listings.plots()
    listings.plots()

    assert listings.count == 2


@pytest.mark.parametrize("later_s", [3600.0, -3600.0])
def test_what_was_listed_long_ago_or_by_another_clock_is_listed_anew(
    listings: Listings, later_s: float
) -> None:
    listings.plots()
    listings.later_s += later_s
    listings.plots()

    assert listings.count == 2


def test_files_that_grow_are_seen_though_nothing_comes_or_goes(listings: Listings) -> None:
    drive = listings.drive
    part_files.prepare(str(drive))
    part = part_files.part_path(str(drive), ID)
    for file in (part, drive / "one.plot"):
        file.write_bytes(bytes(1 << 16))
    looker, mounts = listings.looker, lambda: listings.mounts
    before = looker.survey(str(drive), False, mounts)

    for file in (part, drive / "one.plot"):
        file.write_bytes(bytes(1 << 20))

    now = looker.survey(str(drive), False, mounts)
    assert (before.plot_bytes, before.parts[0].length_bytes) == (1 << 16, 1 << 16)
    assert (now.plot_bytes, now.parts[0].length_bytes) == (1 << 20, 1 << 20)
    assert now.parts[0].held_bytes >= 1 << 20


def test_a_folder_that_comes_for_the_first_part_is_seen(listings: Listings) -> None:
    drive = str(listings.drive)
    assert listings.looker.survey(drive, False).last_used_s == 0

    folder = part_files.prepare(drive)
    (folder / f"{ID}.part").touch()

    seen = listings.looker.survey(drive, False)
    assert len(seen.parts) == 1
    assert seen.last_used_s == folder.stat().st_mtime


def test_the_kind_of_the_file_system_is_known_of_a_real_drive(tmp_path: Path) -> None:
    status = look(tmp_path).status

    assert status is not None
    if os.major(status.st_dev):  # else it is one like btrfs, or a pool
        assert Mounts.now().devices[status.st_dev]
