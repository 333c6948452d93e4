"""A real plot's whole way to a drive: reserve, copy, admit, release; and what breaks on it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import OrderRefused, PlotRefused, TransferFailed
from common.model.messages import Admission, Delivery, Reservation
from common.system.delivered import DeliveredFile
from common.worker.digests import read_digest
from common.worker.move_step import never
from harvester_worker.drives import part_files
from harvester_worker.intake.reserve import ReserveOrder
from plotter_worker.archiving.transfer.local_copy import copy
from plotter_worker.archiving.transfer.progress import TransferProgress
from plotter_worker.archiving.transfer.rsync import Sent
from plotter_worker.archiving.transfer.transport import SameMachine, transport_to
from plotter_worker.directories.release import release

pytestmark = pytest.mark.plotter

HOST = "home"
MakeFarm = Callable[..., "object"]


def order(source: Path, size_bytes: int | None = None) -> ReserveOrder:
    return ReserveOrder(
        host=HOST,
        source_host=HOST,
        path=str(source),
        size_bytes=size_bytes if size_bytes is not None else source.stat().st_size,
    )


def send(reservation: Reservation, told: list[TransferProgress] | None = None) -> Sent:
    transport = transport_to(reservation, HOST)
    assert isinstance(transport, SameMachine)
    return copy(Path(reservation.path), transport.part, (told if told is not None else []).append, never)


def delivered(reservation: Reservation) -> Delivery:
    sent = send(reservation)
    return Delivery(reservation=reservation, digest=sent.digest, sent_bytes=sent.sent_bytes)


def archived(farm, source: Path) -> Admission:
    return farm.admitter.admit(delivered(farm.reserver.reserve(order(source))))


def test_a_plot_lands_proved_and_its_source_goes_last(
    farm: MakeFarm, drive: Path, source: Path, tmp_path: Path
) -> None:
    harvester = farm(drive)
    original = source.read_bytes()

    reservation = harvester.reserver.reserve(order(source))
    told: list[TransferProgress] = []
    sent = send(reservation, told)
    assert list(drive.glob("*.plot*")) == []  # nothing carries a plot's name before it is one
    admission = harvester.admitter.admit(Delivery(reservation=reservation, digest=sent.digest))

    assert (drive / source.name).read_bytes() == original
    assert admission.landed == str(drive / source.name)
    assert admission.verified.startswith("30 challenges gave ")
    assert admission.verified.endswith(" proofs, all valid")
    assert sent.digest is not None
    assert len(sent.digest) == 32
    assert told[-1].percent == 100
    assert sorted(path.name for path in (drive / ".incoming").iterdir()) == ["digests", "lock"]
    assert source.exists()

    known = DeliveredFile(tmp_path)
    with pytest.raises(OrderRefused, match="was not sent"):
        release(admission, [str(source.parent)], known.has)
    known.put(str(source), HOST, source.stat())
    assert release(admission, [str(source.parent)], known.has) is True

    assert not source.exists()
    assert release(admission, [str(source.parent)], known.has) is False  # asked again


def test_each_step_may_be_asked_twice(farm: MakeFarm, drive: Path, source: Path) -> None:
    harvester = farm(drive)

    first = harvester.reserver.reserve(order(source))
    assert harvester.reserver.reserve(order(source)) == first
    delivery = delivered(first)
    assert harvester.admitter.admit(delivery).landed == harvester.admitter.admit(delivery).landed

    again = harvester.reserver.reserve(order(source))
    assert again.landed == str(drive / source.name)
    assert again.part is None
    assert (
        harvester.admitter.admit(Delivery(reservation=again, digest=delivery.digest)).landed == again.landed
    )


def test_a_transfer_goes_on_where_it_ended_and_mends_what_was_damaged(
    farm: MakeFarm, drive: Path, source: Path
) -> None:
    harvester = farm(drive)
    part = Path(harvester.reserver.reserve(order(source)).part or "")
    begun = bytearray(source.read_bytes()[: source.stat().st_size // 2])
    begun[100_000:100_100] = bytes(100)
    part.write_bytes(begun)

    admission = archived(harvester, source)

    assert Path(admission.landed).read_bytes() == source.read_bytes()


def test_a_part_that_is_full_of_zeros_is_not_taken_for_the_plot(
    farm: MakeFarm, drive: Path, source: Path
) -> None:
    """After a power cut a part may have its full size and hold zeros."""
    harvester = farm(drive)
    part = Path(harvester.reserver.reserve(order(source)).part or "")
    part.write_bytes(bytes(source.stat().st_size))

    delivery = delivered(harvester.reserver.reserve(order(source)))
    admission = harvester.admitter.admit(delivery)

    assert delivery.digest is not None
    assert Path(admission.landed).read_bytes() == source.read_bytes()


def test_a_damaged_plot_is_put_aside_and_the_source_kept(farm: MakeFarm, drive: Path, source: Path) -> None:
    damaged = bytearray(source.read_bytes())
    for at in range(10_000, len(damaged), 3_000):
        damaged[at] ^= 0xFF
    source.write_bytes(damaged)
    harvester = farm(drive)

    with pytest.raises(PlotRefused, match=r"proofs fail|reading it fails|chiapos cannot open"):
        archived(harvester, source)

    assert list(drive.glob("*.plot")) == []
    assert [path.name for path in part_files.refused(str(drive))] == [f"{source.name}.refused"]
    assert part_files.parts(str(drive)) == []
    assert source.exists()


def test_a_plot_that_lost_its_last_byte_is_refused_by_its_size(
    farm: MakeFarm, drive: Path, source: Path
) -> None:
    source.write_bytes(source.read_bytes()[:-1])

    with pytest.raises(PlotRefused, match="is not whole"):
        archived(farm(drive), source)


def test_a_part_that_is_short_is_not_taken_in(farm: MakeFarm, drive: Path, source: Path) -> None:
    harvester = farm(drive)
    reservation = harvester.reserver.reserve(order(source))
    Path(reservation.part or "").write_bytes(source.read_bytes()[:1000])

    with pytest.raises(TransferFailed, match="1000 of"):
        harvester.admitter.admit(Delivery(reservation=reservation))

    assert Path(reservation.part or "").exists()


def test_a_part_that_is_still_written_is_neither_taken_in_nor_handed_out_again(
    farm: MakeFarm, drive: Path, source: Path
) -> None:
    harvester = farm(drive)
    delivery = delivered(harvester.reserver.reserve(order(source)))

    with Path(delivery.reservation.part or "").open("ab"):
        with pytest.raises(TransferFailed, match="still being written"):
            harvester.admitter.admit(delivery)
        with pytest.raises(TransferFailed, match="still being written"):
            harvester.reserver.reserve(order(source))


def test_a_part_whose_reservation_lapsed_is_not_made_again(farm: MakeFarm, drive: Path, source: Path) -> None:
    reservation = farm(drive).reserver.reserve(order(source))
    part = Path(reservation.part or "")
    part_files.drop(part)

    with pytest.raises(TransferFailed, match="reservation expired"):
        send(reservation)
    assert not part.exists()


def test_another_file_of_the_plots_name_is_never_replaced(farm: MakeFarm, drive: Path, source: Path) -> None:
    harvester = farm(drive)
    delivery = delivered(harvester.reserver.reserve(order(source)))
    (drive / source.name).write_bytes(b"something else")

    with pytest.raises(PlotRefused, match="is not the plot"):
        harvester.admitter.admit(delivery)
    with pytest.raises(PlotRefused, match="is not the plot"):
        harvester.reserver.reserve(order(source))

    assert (drive / source.name).read_bytes() == b"something else"


def test_a_message_can_name_no_other_place_than_a_drive(farm: MakeFarm, drive: Path, source: Path) -> None:
    harvester = farm(drive)
    reservation = harvester.reserver.reserve(order(source))
    elsewhere = reservation.model_copy(update={"part": "/etc/passwd"})
    other_drive = reservation.model_copy(update={"drive": str(source.parent)})

    for wrong in (elsewhere, other_drive):
        with pytest.raises(OrderRefused):
            harvester.admitter.admit(Delivery(reservation=wrong))


def test_a_source_that_changed_or_lies_elsewhere_is_kept(
    farm: MakeFarm, drive: Path, source: Path, tmp_path: Path
) -> None:
    admission = archived(farm(drive), source)

    with pytest.raises(OrderRefused, match="not in a tmp or dst directory"):
        release(admission, [str(tmp_path / "other")], DeliveredFile(tmp_path).has)
    with source.open("ab") as file:
        file.write(b"x")
    with pytest.raises(OrderRefused, match="were admitted"):
        release(admission, [str(source.parent)], DeliveredFile(tmp_path).has)

    assert source.exists()


def test_a_folder_that_is_both_dst_and_drive_loses_nothing(
    farm: MakeFarm, source: Path, tmp_path: Path
) -> None:
    harvester = farm(source.parent)
    known = DeliveredFile(tmp_path)
    known.put(str(source), HOST, source.stat())
    only_copy = Reservation(
        host=HOST,
        source_host=HOST,
        path=str(source),
        size_bytes=source.stat().st_size,
        drive=str(source.parent),
        landed=str(source),
    )

    with pytest.raises(OrderRefused, match="lies on the drive"):
        harvester.reserver.reserve(order(source))
    digest = read_digest(source, never)
    admission = harvester.admitter.admit(Delivery(reservation=only_copy, digest=digest))
    with pytest.raises(OrderRefused, match="farmed"):
        release(admission, [str(source.parent)], known.has)

    assert source.exists()


def test_without_chiapos_header_and_size_are_checked_and_that_is_said(
    farm: MakeFarm, drive: Path, source: Path
) -> None:
    harvester = farm(drive)
    harvester.admitter._python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or ""
    if not harvester.admitter._python:
        pytest.skip("no Python without chiapos here")

    assert archived(harvester, source).verified == "header and size (chiapos is not installed)"
