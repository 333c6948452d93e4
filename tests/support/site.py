"""A harvester with a notice board, and a plotter that sends to it: another machine in all but the wire."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from common.config.loader import load
from common.model.messages import Admission, Delivery, Reservation
from common.model.plot_name import PlotName
from common.model.snapshot import Event
from common.store import Board
from common.worker.move_step import never
from harvester_worker.intake.intake import Intake
from harvester_worker.intake.reserve import ReserveOrder
from harvester_worker.receiver.receivers import Receivers
from plotter_worker.archiving.transfer.sender import Sender

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


def id_of(source: Path) -> str:
    name = PlotName.parse(source.name)
    assert name is not None
    return name.plot_id
