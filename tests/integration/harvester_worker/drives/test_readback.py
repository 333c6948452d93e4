"""Plots are read back as a whole where their transfer broke, after a new start, and in the background."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from common.errors import DriveFailed, TransferFailed
from common.model.messages import Delivery
from common.system import machine
from common.worker.move_step import never
from harvester_worker.drives import digests, part_files
from harvester_worker.drives.scrub import AGAIN_S, Scrub
from tests.support.site import Site, id_of

pytestmark = pytest.mark.plotter


def test_bytes_of_a_run_that_broke_are_read_back(site: Site, source: Path) -> None:
    reservation = site.intake.reserve(site.order(source))
    begun = bytearray(source.read_bytes()[: source.stat().st_size // 2])
    begun[1000:2000] = bytes(1000)  # lost from memory by a power cut
    Path(reservation.part or "").write_bytes(begun)

    admission = site.archive(source, "two")

    assert admission.verified.endswith("all bytes read back")
    assert Path(admission.landed).read_bytes() == source.read_bytes()


def test_a_machine_that_was_started_anew_meanwhile_reads_the_plot_back(
    site: Site, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = site.send(source, site.intake.reserve(site.order(source)))
    monkeypatch.setattr(machine, "boot_id", lambda: "another")

    assert site.intake.admit(delivery, never).verified.endswith("all bytes read back")


def test_a_copy_that_reads_otherwise_is_put_aside_and_the_plot_goes_to_another_drive(
    site: Site, drive: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = site.send(source, site.intake.reserve(site.order(source)))
    part = Path(delivery.reservation.part or "")
    with part.open("r+b") as file:
        file.seek(part.stat().st_size - 100)
        file.write(b"flipped")
    monkeypatch.setattr(machine, "boot_id", lambda: "another")

    with pytest.raises(DriveFailed, match="reads back with digest"):
        site.intake.admit(delivery, never)

    assert list(drive.glob("*.plot")) == []
    assert part_files.refused(str(drive))
    assert part_files.parts(str(drive)) == []
    (told,) = site.told
    assert told.kind == "drive-failed"
    assert told.text.startswith(
        f"{drive} failed while it took a plot: {id_of(source)}.part reads back with digest"
    )
    again = site.archive(source, "two")
    assert Path(again.landed).parent != drive
    assert Path(again.landed).read_bytes() == source.read_bytes()


def test_a_part_that_was_full_before_anything_was_sent_is_not_believed(site: Site, source: Path) -> None:
    reservation = site.intake.reserve(site.order(source))
    Path(reservation.part or "").write_bytes(source.read_bytes())
    with pytest.raises(TransferFailed, match="sent again"):
        site.intake.admit(Delivery(reservation=reservation, digest=None), never)

    assert site.archive(source, "two").verified.endswith("all bytes read back")


def test_the_scrub_finds_what_a_drive_has_changed(site: Site, drive: Path, source: Path) -> None:
    admission = site.archive(source)
    damaged: list[tuple[str, str]] = []
    scrub = Scrub(site.farm.drives, 1e9, lambda plot, what: damaged.append((plot, what)))
    site.farm.drives.refresh()
    later_s = time.time() + AGAIN_S + 1

    assert scrub.once(time.time()) is False  # it has just been written
    assert scrub.once(later_s) is True
    assert damaged == []

    with Path(admission.landed).open("r+b") as file:
        file.seek(100_000)
        file.write(b"flipped")
    assert scrub.once(later_s) is True
    assert damaged[0][0] == admission.landed
    assert "reads back with digest" in damaged[0][1]
    assert scrub.once(later_s) is False  # reported once
    Path(admission.landed).unlink()
    assert digests.entries(str(drive)) == []
    scrub.stop()


def test_damage_is_reported_once_although_its_drive_takes_no_more_writes(
    site: Site, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admission = site.archive(source)
    site.farm.drives.refresh()
    with Path(admission.landed).open("r+b") as file:
        file.seek(100_000)
        file.write(b"flipped")

    def fails(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(digests, "write", fails)
    damaged: list[str] = []
    scrub = Scrub(site.farm.drives, 1e9, lambda plot, _: damaged.append(plot))
    later_s = time.time() + AGAIN_S + 1

    assert scrub.once(later_s) is True
    assert damaged == [admission.landed]
    assert scrub.once(later_s) is False
    scrub.stop()
