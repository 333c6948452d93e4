"""A plotter's attacks on other plotters' plots that are on their way to a harvester, and on its drives."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import pytest

from common.errors import DriveFailed, OrderRefused, TransferFailed
from common.model.messages import Delivery, Reservation
from common.model.pending import MoveStep, PendingMove
from common.model.snapshot import ArchiverSnapshot, FinishedPlot, PlotState, PlotterSnapshot, Recipe
from common.names import Role
from common.store import Board
from common.worker.move_step import never
from harvester_worker.drives import part_files, write_check
from harvester_worker.drives.part_files import PartRecord
from plotter_worker.archiving.transfer.rsync import command, run
from plotter_worker.archiving.transfer.transport import ThroughReceiver
from tests.integration.harvester_worker.conftest import (  # noqa: F401
    drive,
    farm,
    site,
    source,
)
from tests.support.receiver import says_in_the_log
from tests.support.secured import Machines
from tests.support.site import HERE, THERE, Site, id_of
from tests.support.waiting import eventually

EVIL = "p10"
DIGEST = "ab" * 16
MB = 1 << 20


def record_of(reservation: Reservation) -> PartRecord:
    assert reservation.part is not None
    record = part_files.record_of(Path(reservation.part))
    assert record is not None
    return record


# What the attacker changes in the delivery of another's plot.
FORGED = {
    "as its own plot": {"source_host": EVIL, "path": "/evil/{name}"},
    "as its own plot at the same path": {"source_host": EVIL},
    "of another size": {"size_bytes": 7},
    "of another path": {"path": "/elsewhere/{name}"},
    "of another move": {"move": "another"},
}


@pytest.mark.plotter
@pytest.mark.parametrize("changes", FORGED.values(), ids=FORGED)
@pytest.mark.parametrize("when", ["before it is sent", "after it is sent"])
def test_a_forged_delivery_neither_ends_nor_spoils_anothers_transfer(
    site: Site,  # noqa: F811
    source: Path,  # noqa: F811
    changes: dict[str, object],
    when: str,
) -> None:
    site.farm.admitter.read_back = True
    reservation = site.intake.reserve(site.order(source))
    ticket, before = site.board.ticket(HERE, THERE, id_of(source)), record_of(reservation)
    if when == "after it is sent":
        delivery = site.send(source, reservation)
    update = {
        key: value.format(name=source.name) if isinstance(value, str) else value
        for key, value in changes.items()
    }
    forged = Delivery(reservation=reservation.model_copy(update=update), digest=DIGEST)

    with pytest.raises(OrderRefused, match="is reserved for"):
        site.intake.admit(forged, never)

    assert site.board.ticket(HERE, THERE, id_of(source)) == ticket
    if when == "before it is sent":
        assert record_of(reservation) == before
        delivery = site.send(source, reservation)
    assert part_files.refused(reservation.drive) == []
    assert not site.intake.takes_in(id_of(source))
    assert site.told == []
    admission = site.intake.admit(delivery, never)
    assert Path(admission.landed).read_bytes() == source.read_bytes()


@pytest.mark.plotter
def test_a_forged_reservation_neither_ends_anothers_transfer_nor_takes_its_part(
    site: Site,  # noqa: F811
    source: Path,  # noqa: F811
) -> None:
    reservation = site.intake.reserve(site.order(source))
    ticket, before = site.board.ticket(HERE, THERE, id_of(source)), record_of(reservation)
    forged = site.order(source, "two").model_copy(
        update={"source_host": EVIL, "path": f"/evil/{source.name}"}
    )

    for _ in range(3):
        with pytest.raises(TransferFailed, match=rf"is reserved for {source} of {THERE}"):
            site.intake.reserve(forged)

    assert site.board.ticket(HERE, THERE, id_of(source)) == ticket
    assert site.board.ticket(HERE, EVIL, id_of(source)) is None
    assert record_of(reservation) == before
    site.intake.admit(site.send(source, reservation), never)


@pytest.mark.plotter
def test_a_part_goes_to_another_plotter_once_nothing_arrives(
    site: Site,  # noqa: F811
    source: Path,  # noqa: F811
) -> None:
    """A plotter that only claims a plot does not keep its owner away, however often it claims it."""
    squatter = site.order(source).model_copy(update={"source_host": EVIL, "path": f"/evil/{source.name}"})
    part = Path(site.intake.reserve(squatter).part or "")
    with pytest.raises(TransferFailed, match="is reserved for"):
        site.intake.reserve(site.order(source, "two"))
    long_ago = datetime.now(UTC) - timedelta(seconds=part_files.IDLE_S + 60)
    record = part_files.record_of(part)
    assert record is not None
    part_files.write_record(part, record.model_copy(update={"reserved_at": long_ago}))
    site.intake.reserve(squatter.model_copy(update={"move": "again"}))

    reservation = site.intake.reserve(site.order(source, "three"))

    assert record_of(reservation).source_host == THERE
    assert site.board.ticket(HERE, EVIL, id_of(source)) is None
    assert site.intake.admit(site.send(source, reservation), never).landed


@pytest.mark.plotter
def test_a_part_of_another_that_grows_is_kept(
    site: Site,  # noqa: F811
    source: Path,  # noqa: F811
) -> None:
    reservation = site.intake.reserve(site.order(source))
    part = Path(reservation.part or "")
    part.write_bytes(source.read_bytes()[: 2 * MB])
    long_ago = datetime.now(UTC) - timedelta(seconds=part_files.IDLE_S + 60)
    old = record_of(reservation).model_copy(update={"reserved_at": long_ago})
    part_files.write_record(part, old)

    with pytest.raises(TransferFailed, match="is reserved for"):
        site.intake.reserve(site.order(source, "two").model_copy(update={"source_host": EVIL}))
    os.utime(part, (long_ago.timestamp(), long_ago.timestamp()))
    assert site.intake.reserve(site.order(source, "two").model_copy(update={"source_host": EVIL})).part


@pytest.mark.plotter
def test_a_plot_that_was_changed_on_its_way_is_sent_again_and_blames_no_drive(
    site: Site,  # noqa: F811
    source: Path,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without TLS a man in the network can change the plot and the checksum that rsync sends with it. The two
    ends then have different digests. So does a plotter that lies."""
    reservation = site.intake.reserve(site.order(source))
    delivery = site.send(source, reservation)

    with pytest.raises(TransferFailed, match=f"Other bytes arrived than {THERE} sent"):
        site.intake.admit(delivery.model_copy(update={"digest": DIGEST}), never)

    assert site.told == []
    assert not Path(reservation.part or "").exists()
    assert source.exists()
    assert f"{THERE} sent {source} with the digest {DIGEST}, but {delivery.digest} arrived" in caplog.text


@pytest.mark.plotter
def test_what_arrived_is_known_after_a_restart(
    site: Site,  # noqa: F811
    source: Path,  # noqa: F811
) -> None:
    reservation = site.intake.reserve(site.order(source))
    delivery = site.send(source, reservation)
    eventually(lambda: record_of(reservation).digest == delivery.digest, "the digest is in the part's record")

    site.intake._receivers.close(id_of(source))  # as a restart would
    with pytest.raises(TransferFailed, match="Other bytes arrived"):
        site.intake.admit(delivery.model_copy(update={"digest": DIGEST}), never)


def test_a_digest_that_is_noted_late_replaces_no_newer_one(
    site: Site,  # noqa: F811
    source: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A drive that hangs lets the threads that note digests wait; the last one may be the first to write."""
    waiting: list[Callable[[], None]] = []

    class Later:
        def __init__(self, target: Callable[[], None], **_: object) -> None:
            waiting.append(target)

        def start(self) -> None: ...

    reservation = site.intake.reserve(site.order(source))
    part = Path(reservation.part or "")
    part.touch()
    monkeypatch.setattr("harvester_worker.intake.intake.threading.Thread", Later)
    site.intake._arrived(part, "0" * 32)
    site.intake._arrived(part, "1" * 32)
    for note in reversed(waiting):
        note()
    assert record_of(reservation).digest == "1" * 32

    site.intake._arrived(part, "2" * 32)
    monkeypatch.undo()
    again = site.intake.reserve(site.order(source))
    waiting[-1]()
    assert record_of(again).digest != "2" * 32


@pytest.mark.plotter
def test_what_arrived_is_not_admitted_before_the_plotter_confirms_it(
    site: Site,  # noqa: F811
    source: Path,  # noqa: F811
) -> None:
    """A man in the network changes the plot and cuts the connection at its end: in the next run rsync finds
    the part full, and sends nothing."""
    reservation = site.intake.reserve(site.order(source))
    delivery = site.send(source, reservation)

    with pytest.raises(TransferFailed, match="was full before it was sent"):
        site.intake.admit(delivery.model_copy(update={"digest": None}), never)


@pytest.mark.plotter
def test_a_digest_that_only_the_plotter_tells_blames_no_drive(
    site: Site,  # noqa: F811
    source: Path,  # noqa: F811
) -> None:
    """Also a man in the network, who keeps the checksum from the harvester and ends the plotter's run."""
    reservation = site.intake.reserve(site.order(source))
    part = Path(reservation.part or "")
    part.write_bytes(source.read_bytes())  # so that no rsync has logged it

    with pytest.raises(TransferFailed, match="another digest than"):
        site.intake.admit(Delivery(reservation=reservation, digest=DIGEST), never)

    assert site.told == []
    assert part_files.refused(reservation.drive) == []
    assert not part.exists()
    assert source.exists()


WRITE_ERROR = 'rsync: [receiver] write failed on "x": Input/output error (5)'


@pytest.mark.plotter
def test_an_error_that_only_the_plotter_tells_blames_no_drive(
    site: Site,  # noqa: F811
    source: Path,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Otherwise two plots of it would take each drive out of use for all."""
    reservation = site.intake.reserve(site.order(source))
    ticket = site.board.ticket(HERE, THERE, id_of(source))
    assert ticket is not None

    says_in_the_log(ticket, Path(reservation.part or "").name, WRITE_ERROR)

    eventually(lambda: "stays in use" in caplog.text, "the harvester has tried the drive itself")
    assert site.told == []
    assert site.farm.reserver._failed == {}
    with pytest.raises(TransferFailed, match="did not take the plot"):
        site.send(source, reservation)


@pytest.mark.plotter
def test_an_error_that_the_harvester_sees_as_well_blames_the_drive(
    site: Site,  # noqa: F811
    source: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reservation = site.intake.reserve(site.order(source))
    ticket = site.board.ticket(HERE, THERE, id_of(source))
    assert ticket is not None

    def broken(**_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(write_check, "TemporaryFile", broken)
    says_in_the_log(ticket, Path(reservation.part or "").name, WRITE_ERROR)

    (told,) = eventually(lambda: site.told, "it is told")
    assert told.kind == "drive-failed"
    assert told.text == f"{reservation.drive} failed while it took a plot: Input/output error"
    assert list(site.farm.reserver._failed) == [(id_of(source), reservation.drive)]


@pytest.mark.plotter
def test_a_drive_that_spoils_what_arrived_is_blamed(
    site: Site,  # noqa: F811
    source: Path,  # noqa: F811
) -> None:
    site.farm.admitter.read_back = True
    reservation = site.intake.reserve(site.order(source))
    delivery = site.send(source, reservation)
    eventually(lambda: record_of(reservation).digest, "the digest is in the part's record")
    with Path(reservation.part or "").open("r+b") as file:
        file.seek(2 * MB)
        file.write(b"spoiled")

    with pytest.raises(DriveFailed):
        site.intake.admit(delivery, never)

    assert [event.kind for event in site.told] == ["drive-failed"]
    assert len(part_files.refused(reservation.drive)) == 1


def test_refused_copies_do_not_fill_a_drive(tmp_path: Path) -> None:
    part_files.prepare(str(tmp_path))
    for number in range(5):
        part = part_files.part_path(str(tmp_path), f"{number}" * 64)
        part.write_bytes(b"plot")
        with part_files.locked(str(tmp_path)):
            part_files.put_aside(part, part.parent, f"{number}.plot")
        time.sleep(0.01)  # the clock of the file system is coarse

    kept = [path.name for path in part_files.refused(str(tmp_path))]
    assert kept == ["3.plot.refused", "4.plot.refused"]


NAME = f"plot-k18-2026-11-22-15-48-{'cd' * 32}.plot"
PLOT_ID = "cd" * 32


def lists(board: Board, host: str, *paths: str, size_bytes: int) -> Callable[[], None]:
    """The board's snapshots of a plotter with these finished plots."""

    def put() -> None:
        now = datetime.now(UTC)
        plots = tuple(
            FinishedPlot(
                path=path, size_bytes=size_bytes, state=PlotState.READY, since=now, plot_id=PLOT_ID, k=18
            )
            for path in paths
        )
        board.put_snapshot(
            Role.PLOTTER,
            PlotterSnapshot(
                host=host,
                at=now,
                start_token="a:1",
                plotting=False,
                global_max_jobs=1,
                global_stagger_s=0,
                recipe=Recipe(plotter="chia", k=18, tmp_bytes=1, tmp2_bytes=0, dst_bytes=1),
                tmp_dirs=(),
                plots=plots,
                archiving=True,
                moves_at_once=10,
            ),
        )
        board.put_snapshot(Role.ARCHIVER, ArchiverSnapshot(host=host, at=now))

    return put


def test_with_a_plotters_password_nobody_elses_transfer_is_ended(attacked: Machines, tmp_path: Path) -> None:
    """Real beat and harvester; the plotters are what their Redis users can write."""
    drives = tmp_path / "drives" / "1"
    drives.mkdir(parents=True)
    plot = tmp_path / "dst" / NAME
    plot.parent.mkdir()
    plot.write_bytes(os.urandom(8 * MB))
    size_bytes = plot.stat().st_size
    attacked.configure(
        "h1",
        harvester={
            "drives": [str(drives)],
            "plain_folders": True,
            "margin_bytes": 1_000_000,
            "proofs": 0,
            "writers_per_drive": 4,  # else beat does not even order what the attacker lists
            "receiver_address": "127.0.0.1",
            "receiver_port": 0,
        },
    )
    attacked.configure("boss")
    attacked.up("h1")
    attacked.up("boss")
    victim = Board.connect(attacked.secured.url("p1"))
    attacker = Board.connect(attacked.secured.url(EVIL))
    put = lists(victim, "p1", str(plot), size_bytes=size_bytes)
    ended = threading.Event()

    def lives() -> None:
        while not ended.wait(5):
            put()

    put()
    renewing = threading.Thread(target=lives)
    renewing.start()
    try:
        ticket = eventually(lambda: victim.ticket("h1", "p1", PLOT_ID), "the harvester reserves", 60)
        (victims,) = victim.moves(["p1"])["p1"]
        part = part_files.part_path(str(drives), PLOT_ID)
        reserved, forged = f"/evil/{NAME}", f"/forged/{NAME}"
        reservation = Reservation(
            host="h1",
            source_host=EVIL,
            path=forged,
            size_bytes=size_bytes,
            drive=str(drives),
            part=str(part),
            move=victims.move,
        )
        attacker.put_move(
            EVIL,
            PendingMove(
                path=forged,
                harvester="h1",
                size_bytes=size_bytes,
                step=MoveStep.ADMIT,
                expires_at=datetime.now(UTC) + timedelta(hours=1),
                move=victims.move,
                delivery=Delivery(reservation=reservation, digest=DIGEST).kwargs(),
            ),
        )
        lists(attacker, EVIL, reserved, size_bytes=size_bytes)()

        def refusal() -> bool:
            reasons = {move.path: move.reason or "" for move in attacker.moves([EVIL]).get(EVIL, [])}
            return "is reserved for" in reasons.get(forged, "")

        eventually(refusal, "what was sent in its name is refused, and its move says why", 60)

        def waits() -> dict[str | None, str]:
            found = Board.connect(attacked.secured.url("boss")).waits()
            return {wait.subject: wait.reason for wait in found.waits if wait.host == EVIL} if found else {}

        eventually(
            lambda: waits().get(reserved) == f"the same plot, p1:{plot}, is on its way to h1",
            "what it lists waits",
            60,
        )

        assert victim.ticket("h1", "p1", PLOT_ID) == ticket
        record = part_files.record_of(part)
        assert record is not None
        assert record.source_host == "p1"
        way = ThroughReceiver(PurePosixPath(part), lambda: ticket, tmp_path / "tickets")
        with way.opened() as opened:
            run(command(str(plot), opened.target, opened.options), lambda _: None, never)
        assert part.read_bytes() == plot.read_bytes()
        assert part_files.refused(str(drives)) == []
        kinds = {event.kind for _, event in victim.newest_events(1000)}
        assert "transfer-failed" in kinds  # the attacker's, for operators
        assert "drive-failed" not in kinds
    finally:
        ended.set()
        renewing.join()
