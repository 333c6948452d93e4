"""Reservations on real file systems of a few megabytes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import TransferFailed
from common.model.snapshot import DirState
from harvester_worker.drives import part_files
from harvester_worker.intake import reserve
from harvester_worker.intake.reserve import ReserveOrder

MB = 1_000_000
Mounted = Callable[[int], Path]
MakeFarm = Callable[..., "object"]


def order(number: int, size_bytes: int) -> ReserveOrder:
    name = f"plot-k18-2026-11-22-15-48-{number:064x}.plot"
    return ReserveOrder(host="home", source_host="plotter", path=f"/dst/{name}", size_bytes=size_bytes)


def free_bytes(drive: Path) -> int:
    figures = os.statvfs(drive)
    return figures.f_bavail * figures.f_frsize


def test_the_file_system_itself_holds_what_is_reserved(farm: MakeFarm, mounted_drive: Mounted) -> None:
    drive = mounted_drive(64 * MB)
    before = free_bytes(drive)

    reservation = farm(drive, mounted=True).reserver.reserve(order(1, 20 * MB))

    assert before - free_bytes(drive) >= 20 * MB
    assert Path(reservation.part or "").stat().st_size == 0  # rsync starts at the beginning


def test_a_drive_takes_plots_until_the_next_does_not_fit_and_none_too_many(
    farm: MakeFarm, mounted_drive: Mounted
) -> None:
    drive = mounted_drive(64 * MB)
    harvester = farm(drive, mounted=True, writers=100, margin_bytes=MB)
    fitting = (free_bytes(drive) - MB) // (10 * MB)

    granted = 0
    with pytest.raises(TransferFailed, match=r"room .* needs 10\.0+ MB and 1\.0+ MB margin"):
        for number in range(20):
            harvester.reserver.reserve(order(number, 10 * MB))
            granted += 1

    assert granted in (fitting, fitting - 1)  # the file system's own blocks take a little
    assert free_bytes(drive) >= 0
    shown = harvester.drives.published()[0]
    assert shown.incoming == granted
    assert shown.reserved_bytes == granted * 10 * MB


def test_a_refused_reservation_leaves_the_drive_as_it_was(farm: MakeFarm, mounted_drive: Mounted) -> None:
    drive = mounted_drive(64 * MB)
    harvester = farm(drive, mounted=True)
    harvester.drives.refresh()
    before = free_bytes(drive)

    with pytest.raises(TransferFailed):
        harvester.reserver.reserve(order(1, 100 * MB))

    assert free_bytes(drive) == before
    assert part_files.parts(str(drive)) == []


def test_a_drive_without_room_or_with_a_writer_leaves_the_plot_to_the_next(
    farm: MakeFarm, mounted_drive: Mounted
) -> None:
    small, first, second = mounted_drive(16 * MB), mounted_drive(64 * MB), mounted_drive(64 * MB)
    harvester = farm(small, first, second, mounted=True)

    one = harvester.reserver.reserve(order(1, 20 * MB))
    two = harvester.reserver.reserve(order(2, 20 * MB))

    assert (one.drive, two.drive) == (str(first), str(second))
    with pytest.raises(TransferFailed) as refusal:
        harvester.reserver.reserve(order(3, 20 * MB))
    assert f"{small}: room" in str(refusal.value)
    assert f"{first}: plots on their way 1/1" in str(refusal.value)


def test_a_drive_that_dropped_out_is_not_written_beneath(farm: MakeFarm, mounted_drive: Mounted) -> None:
    drive = mounted_drive(64 * MB)
    harvester = farm(drive, mounted=True)
    harvester.drives.refresh()
    subprocess.run(["umount", drive], check=True)

    with pytest.raises(TransferFailed, match="not mounted"):
        harvester.reserver.reserve(order(1, MB))

    assert list(drive.iterdir()) == []
    assert harvester.drives.published()[0].state is DirState.NOT_MOUNTED
    assert harvester.drives.published()[0].free_bytes is None


def test_a_drive_that_turned_read_only_shows_as_such(farm: MakeFarm, mounted_drive: Mounted) -> None:
    drive = mounted_drive(64 * MB)
    harvester = farm(drive, mounted=True)
    subprocess.run(["mount", "-o", "remount,ro", drive], check=True)

    with pytest.raises(TransferFailed, match="read-only"):
        harvester.reserver.reserve(order(1, MB))


def test_a_plain_folder_is_taken_only_where_that_is_configured(farm: MakeFarm, drive: Path) -> None:
    if drive.stat().st_dev != Path("/").stat().st_dev:
        pytest.skip("the test's folder is on a mounted drive itself")

    with pytest.raises(TransferFailed, match="not mounted"):
        farm(drive, mounted=True).reserver.reserve(order(1, MB))

    assert farm(drive, mounted=False).reserver.reserve(order(1, MB)).drive == str(drive)


def test_a_drive_that_failed_for_two_plots_comes_last_for_all_until_an_hour_has_passed(
    farm: MakeFarm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = tmp_path / "1", tmp_path / "2"
    bad.mkdir()
    good.mkdir()
    reserver = farm(bad, good, writers=9).reserver

    def first_choice(number: int) -> Path:
        part = Path(reserver.reserve(order(number, MB)).part or "")
        part_files.drop(part)
        return part.parents[1]

    monkeypatch.setattr(reserve, "AVOID_S", 0.0)  # an hour ago
    reserver.avoid("b" * 64, str(bad), "Input/output error")
    monkeypatch.undo()
    for _ in range(2):
        reserver.avoid("a" * 64, str(bad), "Input/output error")
    assert first_choice(1) == bad, "once is chance"

    for digit in "cdef":  # what only a plotter says
        reserver.avoid(digit * 64, str(bad), "Input/output error", blame=False)
    assert first_choice(1) == bad
    reserver.avoid("b" * 64, str(bad), "Input/output error")
    assert first_choice(2) == good

    reserver.avoid("a" * 64, str(good), "Input/output error")
    reserver.avoid("b" * 64, str(good), "Input/output error")
    assert first_choice(3) == bad, "where all fail, plots are not held up"
