"""A harvester with a notice board, and a plotter that sends to it: another machine in all but the wire."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

from common.config.loader import load
from common.model.messages import Admission, Delivery, Reservation
from common.model.plot_name import PlotName
from common.model.snapshot import Event
from common.store import Board
from common.system.delivered import DeliveredFile
from common.worker.move_step import never
from harvester_worker.intake.intake import Intake
from harvester_worker.intake.reserve import ReserveOrder
from harvester_worker.receiver.receivers import Receivers
from plotter_worker.archiving.archiver import Archiver
from plotter_worker.archiving.transfer.sender import Sender
from plotter_worker.directories.release import release

HERE, THERE = "harvester1", "plotter1"


class Site:
    """farm: the harvester, see the fixture of this name."""

    def __init__(self, farm: Any, board: Board, folder: Path, tls: bool = False) -> None:
        self.farm, self.board, self.folder = farm, board, folder
        self.told: list[Event] = []
        self.config = folder / "plotman.yaml"
        self.configure()
        receivers = partial(Receivers, folder / "receivers", "127.0.0.1", 0, tls=tls)
        self.intake = Intake(HERE, board, farm.reserver, farm.admitter, self.told.append, receivers)

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
        delivery = self.send(source, self.intake.reserve(self.order(source, move)))
        return self.intake.admit(delivery, never)


class Machines:
    """A harvester and a plotter, on two machines or on one (`plotter` is then the harvester's own name)."""

    def __init__(self, site: Site, plotter: str) -> None:
        self.site, self.plotter = site, plotter
        text = site.config.read_text(encoding="utf-8")
        site.config.write_text(text.replace(f"host: {THERE}", f"host: {plotter}"), encoding="utf-8")
        self.archiver = Archiver(load(site.config), site.board)
        self.archiver.start()
        self.moves = 0

    def reserve(self, source: Path) -> Reservation:
        self.moves += 1
        order = self.site.order(source, str(self.moves)).model_copy(update={"source_host": self.plotter})
        return self.site.intake.reserve(order)

    def send(self, reservation: Reservation) -> Delivery:
        return self.archiver.send(reservation, lambda _: None, never)

    def admit(self, delivery: Delivery) -> Admission:
        return self.site.intake.admit(Delivery.read(**delivery.kwargs()), never)

    def archive(self, source: Path) -> Admission:
        """The whole way; the source is released at its end."""
        admission = self.admit(self.send(self.reserve(source)))
        assert self.release(admission, source)
        return admission

    def release(self, admission: Admission, source: Path) -> bool:
        delivered = DeliveredFile(self.site.folder / "state")
        return release(Admission.read(**admission.kwargs()), [str(source.parent)], delivered.has)


def id_of(source: Path) -> str:
    name = PlotName.parse(source.name)
    assert name is not None
    return name.plot_id


def changed_in_place(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100_000)
        file.write(os.urandom(1000))


def changed_in_secret(path: Path) -> None:
    """The same file, size and time of change, as `rsync --inplace --times` leaves it."""
    status = path.stat()
    changed_in_place(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
