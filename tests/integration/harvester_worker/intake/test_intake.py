"""A plot from another machine: reservation, ticket, receiver, admission."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from common.config.loader import load
from common.errors import NoRoom, OrderRefused, TransferFailed
from common.model.messages import Delivery
from common.system.delivered import DeliveredFile
from common.system.openfile import is_open_for_writing
from common.worker.digests import read_digest
from common.worker.move_step import never
from harvester_worker.drives import part_files
from harvester_worker.drives.plot_index import PlotIndex
from harvester_worker.intake.reserve import ReserveOrder
from harvester_worker.receiver.receivers import EndedTransfer
from plotter_worker.archiving.transfer.sender import Sender
from plotter_worker.directories.release import release
from plotter_worker.state.operator import OperatorStateFile
from tests.support.site import HERE, THERE, Site, id_of
from tests.support.waiting import eventually

pytestmark = pytest.mark.plotter


def test_a_plot_comes_from_another_machine_and_the_secret_is_in_no_message(
    site: Site, drive: Path, source: Path
) -> None:
    original = source.read_bytes()

    reservation = site.intake.reserve(site.order(source))
    ticket = site.board.ticket(HERE, THERE, id_of(source))
    assert ticket is not None
    delivery = site.send(source, reservation)
    admission = site.intake.admit(delivery, never)

    assert (drive / source.name).read_bytes() == original
    assert admission.verified.endswith("all valid")  # one good run: proofs are enough
    secret = ticket.password.get_secret_value()
    assert secret not in f"{reservation.kwargs()}{delivery.kwargs()}{admission.kwargs()}{site.told}"
    assert site.board.ticket(HERE, THERE, id_of(source)) is None  # the receiver is closed
    assert list((site.folder / "state" / "tickets").iterdir()) == []
    known = DeliveredFile(site.folder)
    known.put(str(source), HERE, source.stat())
    assert release(admission, [str(source.parent)], known.has)


def test_a_message_that_comes_twice_disturbs_no_transfer_and_a_new_move_ends_the_old(
    site: Site, source: Path
) -> None:
    first = site.intake.reserve(site.order(source))
    before = site.board.ticket(HERE, THERE, id_of(source))
    assert site.intake.reserve(site.order(source)) == first
    assert site.board.ticket(HERE, THERE, id_of(source)) == before

    site.intake.reserve(site.order(source, "two"))

    assert site.board.ticket(HERE, THERE, id_of(source)) != before


def test_the_digest_of_a_plot_that_arrived_is_kept_on_its_drive_and_not_in_memory(
    site: Site, source: Path
) -> None:
    part = Path(site.intake.reserve(site.order(source)).part or "")
    site.intake._arrived(part, "0f" * 16)
    eventually(lambda: (record := part_files.record_of(part)) and record.digest == "0f" * 16, "noted")
    eventually(lambda: not site.intake._newest, "forgotten")


def test_a_new_move_of_a_plot_ends_the_transfer_of_the_old_one(site: Site, source: Path) -> None:
    """Its part is open for writing until then, and so could not be resumed."""
    OperatorStateFile(site.folder / "state").change(lambda state: state.with_bandwidth(2048))
    first = site.intake.reserve(site.order(source))
    assert first.part is not None
    ended: list[Exception] = []

    def send() -> None:
        try:
            site.send(source, first)
        except TransferFailed as error:
            ended.append(error)

    sender = threading.Thread(target=send)
    sender.start()
    eventually(lambda: is_open_for_writing(Path(first.part or "")), "the transfer runs")

    def again() -> str | None:
        with suppress(TransferFailed):  # the ended server may need a moment
            return site.intake.reserve(site.order(source, "two")).part
        return None

    assert eventually(again, "the part is free") == first.part
    sender.join(30)
    assert len(ended) == 1


def test_a_plot_whose_drive_failed_for_rsync_goes_to_another_and_the_plotter_hears_why(
    site: Site, drive: Path, source: Path
) -> None:
    reservation = site.intake.reserve(site.order(source))
    ticket = site.board.ticket(HERE, THERE, id_of(source))
    assert ticket is not None
    site.intake._transfer_ended(
        EndedTransfer(id_of(source), THERE, reservation.drive, ticket, "no space left")
    )

    with pytest.raises(TransferFailed, match="no space left"):
        site.send(source, reservation)
    again = site.intake.reserve(site.order(source, "two"))

    assert reservation.drive == str(drive)
    assert again.drive != reservation.drive
    assert part_files.parts(reservation.drive) == []
    assert site.told == []  # the drive works for the harvester itself
    assert site.intake.admit(site.send(source, again), never).landed.startswith(again.drive)


def test_a_plot_on_a_drive_that_was_pulled_before_its_source_went_gets_no_second_copy(
    site: Site, drive: Path, source: Path
) -> None:
    landed = PlotIndex(site.folder / "state" / "landed.json")
    site.farm.admitter._plot_index = landed
    site.archive(source)
    pulled = drive.rename(drive.with_name("pulled"))
    site.farm.reserver._plot_index = PlotIndex(site.folder / "state" / "landed.json")  # started anew

    with pytest.raises(TransferFailed, match=f"is on {drive}, which is missing"):
        site.intake.reserve(site.order(source, "two"))

    pulled.rename(drive)
    again = site.intake.reserve(site.order(source, "three"))
    assert again.landed == str(drive / source.name)
    assert (
        site.intake.admit(Delivery(reservation=again, digest=read_digest(source, never)), never).landed
        == again.landed
    )


def test_a_drive_that_somebody_filled_meanwhile_is_left_for_another(
    farm: Callable[..., Any], mounted_drive: Callable[[int], Path], source: Path
) -> None:
    one, two = mounted_drive(64 << 20), mounted_drive(64 << 20)
    harvester = farm(one, two, mounted=True)
    order = ReserveOrder(host=HERE, source_host=THERE, path=str(source), size_bytes=source.stat().st_size)
    first = harvester.reserver.reserve(order)
    Path(first.part or "").write_bytes(b"")  # gives back what was held
    with pytest.raises(OSError, match="No space"), (one / "something else").open("wb") as file:
        while True:
            file.write(bytes(1 << 20))
            file.flush()

    assert first.drive == str(one)
    assert harvester.reserver.reserve(order).drive == str(two)
    assert part_files.parts(str(one)) == []


def test_an_operators_bandwidth_overrides_the_configuration(site: Site) -> None:
    site.configure("{bwlimit_bytes_s: 5000000}")
    sender, said = Sender(load(site.config), site.board), OperatorStateFile(site.folder / "state")

    limits = [sender.limit_bytes_s()]
    for word in (2_000_000, 0, None):
        said.change(lambda state, word=word: state.with_bandwidth(word))
        limits.append(sender.limit_bytes_s())

    assert limits == [5_000_000, 2_000_000, None, 5_000_000]


def test_a_harvester_without_room_says_whether_a_copy_may_be_on_a_drive_that_is_away(
    farm: Callable[..., Any], drive: Path, source: Path, tmp_path: Path
) -> None:
    order = ReserveOrder(host=HERE, source_host=THERE, path=str(source), size_bytes=10**15)

    with pytest.raises(NoRoom):
        farm(drive).reserver.reserve(order)
    with pytest.raises(TransferFailed) as away:
        farm(drive, tmp_path / "away").reserver.reserve(order)

    assert not isinstance(away.value, NoRoom)


def test_a_source_on_the_drive_itself_is_kept_though_it_is_reached_over_the_network(
    site: Site, source: Path
) -> None:
    admission = site.archive(source)
    known = DeliveredFile(site.folder)
    known.put(str(source), HERE, source.stat())
    (source.parent / ".incoming").mkdir()  # as where dst is the harvester's drive, mounted here

    with pytest.raises(OrderRefused, match="farmed"):
        release(admission, [str(source.parent)], known.has)
    assert source.exists()


def test_who_has_all_bytes_of_a_plot_outlives_us(tmp_path: Path) -> None:
    plot, away = tmp_path / "a.plot", tmp_path / "drive that is away" / "b.plot"
    plot.touch()
    DeliveredFile(tmp_path).put(str(away), "h1")
    DeliveredFile(tmp_path).put(str(plot), "h1")
    known = DeliveredFile(tmp_path)

    assert (known.harvester_of(str(plot)), known.harvester_of(str(away))) == ("h1", "h1")
    assert known.harvester_of(str(tmp_path / "c.plot")) is None
    DeliveredFile(tmp_path).put(str(plot), "h2")
    assert known.harvester_of(str(plot)) == "h2"
