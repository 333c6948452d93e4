"""A plot from another machine: reservation, ticket, door, admission; and what a broken run leads to."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from common.config.archiving import Route
from common.config.loader import load
from common.errors import NoRoom, OrderRefused, PlotRefused, TransferFailed
from common.messages import Admission, Delivery, Reservation
from common.moving import never
from common.names import Keys
from common.plotfile import PlotName
from common.snapshot import Event
from common.store import Board
from harvester_worker import incoming, ledger
from harvester_worker.door.doors import Doomed, Doors
from harvester_worker.landed import Landed
from harvester_worker.reserve import ReserveOrder
from harvester_worker.scrub import AGAIN_S, Scrub
from harvester_worker.way_in import WayIn
from plotter_worker.delivered import DeliveredFile
from plotter_worker.sources import release
from plotter_worker.steering import SteeringFile
from plotter_worker.transfer.sender import Sender

pytestmark = pytest.mark.plotter

HERE, THERE = "harvester1", "plotter1"


class Site:
    """A harvester with a board, and a plotter that sends to it. Another machine in all but the wire."""

    def __init__(self, farm: Any, board: Board, folder: Path) -> None:
        self.farm, self.board, self.folder = farm, board, folder
        self.told: list[Event] = []
        self.config = folder / "plotman.yaml"
        self.configure()
        doors = partial(Doors, folder / "doors", "127.0.0.1", 0)
        self.way_in = WayIn(HERE, board, farm.reserver, farm.admitter, self.told.append, doors)

    def configure(self, archiving: str = "{}") -> None:
        self.config.write_text(
            f"version: [2]\nfarm: {{host: {THERE}, state: {self.folder / 'state'}}}\n"
            f"logging: {{plots: {self.folder / 'logs'}}}\n"
            f"directories: {{tmp: [{self.folder / 'tmp'}], dst: [{self.folder / 'dst'}]}}\n"
            "scheduling: {tmpdir_stagger_phase_major: 2, tmpdir_stagger_phase_minor: 1, tmpdir_max_jobs: 1,"
            " global_max_jobs: 1, global_stagger_m: 0, polling_time_s: 20}\n"
            "plotting: {type: chiapos, pool_pk: aa, farmer_pk: bb}\n"
            f"archiving: {archiving}\n",
            encoding="utf-8",
        )

    def order(self, source: Path, move: str = "one") -> ReserveOrder:
        return ReserveOrder(
            host=HERE, source_host=THERE, path=str(source), size_bytes=source.stat().st_size, move=move
        )

    def send(self, source: Path, reservation: Reservation) -> Delivery:
        sent = Sender(load(self.config), self.board).send(source, reservation, lambda _: None, never)
        return Delivery(reservation=reservation, digest=sent.digest, sent_bytes=sent.sent_bytes)

    def archive(self, source: Path, move: str = "one") -> Admission:
        delivery = self.send(source, self.way_in.reserve(self.order(source, move)))
        return self.way_in.admit(delivery, never)


@pytest.fixture
def site(farm: Callable[..., Any], drive: Path, board: Board, tmp_path: Path) -> Iterator[Site]:
    other = tmp_path / "drive2"
    other.mkdir()
    made = Site(farm(drive, other), board, tmp_path)
    yield made
    made.way_in.stop()


def id_of(source: Path) -> str:
    name = PlotName.parse(source.name)
    assert name is not None
    return name.plot_id


def test_a_plot_comes_from_another_machine_and_the_secret_is_in_no_message(
    site: Site, drive: Path, source: Path
) -> None:
    original = source.read_bytes()

    reservation = site.way_in.reserve(site.order(source))
    ticket = site.board.ticket(THERE, id_of(source))
    assert ticket is not None
    delivery = site.send(source, reservation)
    admission = site.way_in.admit(delivery, never)

    assert (drive / source.name).read_bytes() == original
    assert admission.verified.endswith("all valid")  # one good run: proofs are enough
    secret = ticket.password.get_secret_value()
    assert secret not in f"{reservation.kwargs()}{delivery.kwargs()}{admission.kwargs()}{site.told}"
    assert site.board.ticket(THERE, id_of(source)) is None  # the door is closed
    assert Keys.door(THERE, "ID").startswith(f"plotman:host:{THERE}:")
    assert list((site.folder / "state" / "tickets").iterdir()) == []
    assert release(admission, [str(source.parent)])


def test_a_message_that_comes_twice_disturbs_no_transfer_and_a_new_move_ends_the_old(
    site: Site, source: Path
) -> None:
    first = site.way_in.reserve(site.order(source))
    before = site.board.ticket(THERE, id_of(source))
    assert site.way_in.reserve(site.order(source)) == first
    assert site.board.ticket(THERE, id_of(source)) == before

    site.way_in.reserve(site.order(source, "two"))

    assert site.board.ticket(THERE, id_of(source)) != before


def test_bytes_of_a_run_that_broke_are_read_back(site: Site, source: Path) -> None:
    reservation = site.way_in.reserve(site.order(source))
    begun = bytearray(source.read_bytes()[: source.stat().st_size // 2])
    begun[1000:2000] = bytes(1000)  # lost from memory by a power cut
    Path(reservation.part or "").write_bytes(begun)

    admission = site.archive(source, "two")

    assert admission.verified.endswith("all bytes read back")
    assert Path(admission.landed).read_bytes() == source.read_bytes()


def test_a_machine_that_was_started_anew_meanwhile_reads_the_plot_back(
    site: Site, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = site.send(source, site.way_in.reserve(site.order(source)))
    monkeypatch.setattr(incoming, "boot_id", lambda: "another")

    assert site.way_in.admit(delivery, never).verified.endswith("all bytes read back")


def test_a_copy_that_reads_otherwise_is_put_aside_and_the_source_kept(
    site: Site, drive: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = site.send(source, site.way_in.reserve(site.order(source)))
    part = Path(delivery.reservation.part or "")
    with part.open("r+b") as file:
        file.seek(part.stat().st_size - 100)
        file.write(b"flipped")
    monkeypatch.setattr(incoming, "boot_id", lambda: "another")

    with pytest.raises(PlotRefused, match="reads back otherwise"):
        site.way_in.admit(delivery, never)

    assert list(drive.glob("*.plot")) == []
    assert incoming.refused(str(drive))
    assert source.exists()


def test_a_part_that_was_full_before_anything_was_sent_is_not_believed(site: Site, source: Path) -> None:
    reservation = site.way_in.reserve(site.order(source))
    Path(reservation.part or "").write_bytes(source.read_bytes())
    with pytest.raises(TransferFailed, match="sent once more"):
        site.way_in.admit(Delivery(reservation=reservation, digest=None), never)

    assert site.archive(source, "two").verified.endswith("all bytes read back")


def test_a_plot_whose_drive_failed_goes_to_another_and_the_plotter_hears_why(
    site: Site, drive: Path, source: Path
) -> None:
    reservation = site.way_in.reserve(site.order(source))
    ticket = site.board.ticket(THERE, id_of(source))
    assert ticket is not None
    site.way_in._doomed(Doomed(id_of(source), THERE, reservation.drive, ticket, "no space left"))

    with pytest.raises(TransferFailed, match="no space left"):
        site.send(source, reservation)
    again = site.way_in.reserve(site.order(source, "two"))

    assert reservation.drive == str(drive)
    assert again.drive != reservation.drive
    assert incoming.parts(reservation.drive) == []
    assert site.told[0].kind == "drive-failed"
    assert site.way_in.admit(site.send(source, again), never).landed.startswith(again.drive)


def test_a_plot_on_a_drive_that_was_pulled_before_its_source_went_gets_no_second_copy(
    site: Site, drive: Path, source: Path
) -> None:
    landed = Landed(site.folder / "state" / "landed.json")
    site.farm.admitter._landed_on = landed
    site.archive(source)
    pulled = drive.rename(drive.with_name("pulled"))
    site.farm.reserver._landed_on = Landed(site.folder / "state" / "landed.json")  # started anew

    with pytest.raises(TransferFailed, match=f"is on {drive}, which is missing"):
        site.way_in.reserve(site.order(source, "two"))

    pulled.rename(drive)
    again = site.way_in.reserve(site.order(source, "three"))
    assert again.landed == str(drive / source.name)
    assert site.way_in.admit(Delivery(reservation=again), never).landed == again.landed


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
    assert incoming.parts(str(one)) == []


def test_a_persons_word_on_bandwidth_comes_before_the_files(site: Site) -> None:
    site.configure("{bwlimit_bytes_s: 5000000}")
    sender, said = Sender(load(site.config), site.board), SteeringFile(site.folder / "state")

    limits = [sender.limit_bytes_s()]
    for word in (2_000_000, 0, None):
        said.set_bandwidth(word)
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
    assert "reads back otherwise" in damaged[0][1]
    assert scrub.once(later_s) is False  # told once
    Path(admission.landed).unlink()
    assert ledger.entries(str(drive)) == []
    scrub.stop()


def test_a_mounted_path_may_be_named_instead_of_the_door(site: Site, drive: Path, source: Path) -> None:
    net = site.folder / "net"
    net.symlink_to(drive.parent)
    site.configure(f"{{routes: {{{HERE}: {{path: {net}, under: {drive.parent}}}}}}}")
    assert site.archive(source).landed == str(drive / source.name)

    site.configure(f"{{routes: {{{HERE}: {{path: {net}, under: /elsewhere}}}}}}")
    with pytest.raises(TransferFailed, match=r"archiving\.routes"):
        site.send(source, Reservation(**_reservation(source, drive)))


def _reservation(source: Path, drive: Path) -> dict[str, Any]:
    part = incoming.part_path(str(drive), id_of(source))
    return {
        "host": HERE,
        "source_host": THERE,
        "path": str(source),
        "size_bytes": source.stat().st_size,
        "drive": str(drive),
        "part": str(part),
    }


def test_ssh_may_be_named_instead_of_the_door(
    site: Site, drive: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for ssh that runs the command here shows that rsync's line is right."""
    bin_ = site.folder / "bin"
    bin_.mkdir()
    ssh = bin_ / "ssh"
    ssh.write_text(
        "#!/bin/bash\nwhile [[ $1 == -* ]]; do [[ $1 == -[ol] ]] && shift; shift; done\n"
        f'echo "$1" > {site.folder}/whom\nshift\neval exec "$@"\n'
    )
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_}:{os.environ['PATH']}")
    site.configure(f"{{routes: {{{HERE}: {{ssh: chia@harvester1}}}}}}")

    assert site.archive(source).landed == str(drive / source.name)
    assert (site.folder / "whom").read_text().strip() == "harvester1"


@pytest.mark.parametrize("login", ["-oProxyCommand=x", "a b@c", "chia@-x", "chia@host;ls", ""])
def test_a_login_that_ssh_would_take_for_something_else_is_no_route(login: str) -> None:
    with pytest.raises(ValueError, match="ssh"):
        Route(ssh=login)


def test_a_source_on_the_drive_itself_is_kept_though_it_is_reached_over_the_network(
    site: Site, source: Path
) -> None:
    admission = site.archive(source)
    (source.parent / ".incoming").mkdir()  # as where dst is the harvester's drive, mounted here

    with pytest.raises(OrderRefused, match="farmed"):
        release(admission, [str(source.parent)])
    assert source.exists()


def test_who_has_all_bytes_of_a_plot_outlives_us(tmp_path: Path) -> None:
    plot, gone = tmp_path / "a.plot", tmp_path / "b.plot"
    plot.touch()
    DeliveredFile(tmp_path).put(str(gone), "h1")
    DeliveredFile(tmp_path).put(str(plot), "h1")
    known = DeliveredFile(tmp_path)

    assert (known.harvester_of(str(plot)), known.harvester_of(str(gone))) == ("h1", None)
    DeliveredFile(tmp_path).put(str(plot), "h2")
    assert known.harvester_of(str(plot)) == "h2"
