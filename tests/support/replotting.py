"""A harvester that replaces old plots by new ones, without Celery, one look at a time."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from common.config.loader import load
from common.history.recorder import history_path
from common.history.rows import End, HistoryKind, Row
from common.history.store import HistoryFile
from common.model.messages import Admission, Delivery
from common.model.replot_order import ReplotOrder, ReplotSwitch
from common.model.replot_report import ReplotReport
from common.model.snapshot import Event
from common.names import Role
from common.store import Board
from common.worker.digests import read_digest
from common.worker.move_step import never
from harvester_worker.drives import part_files
from harvester_worker.intake.reserve import ReserveOrder
from harvester_worker.replot.journal import Journal
from harvester_worker.service import Harvester
from tests.support.waiting import eventually

HOST = "h1"
OLD = {"name": "old", "k": 18, "levels": [0]}


class Replotting:
    """Harvester h1. `once` is one look of its thread, which is not started."""

    def __init__(self, folder: Path, board: Board, *drives: Path, **harvester: Any) -> None:
        self.folder, self.board, self.drives = folder, board, drives
        self.section: dict[str, Any] = {
            "drives": [str(drive) for drive in drives],
            "plain_folders": True,
            "margin_bytes": 0,
            "replot": True,
            "receiver_address": "127.0.0.1",
            "receiver_port": 0,
        } | harvester
        self.events: list[Event] = []
        self.moves = 0
        self.begin()

    def begin(self) -> None:
        """A worker begins."""
        self.configure()
        self.harvester = Harvester(load(self.config), self.board)
        self.replotter = self.harvester.replot
        self.replacer = self.replotter._replacer
        self.replotter._publish = self.events.append
        self.harvester.drives.refresh()
        self.replotter.open()
        self.replacer.give_names_back()
        self.harvester.history.start()
        self.harvester.inventory.start()

    def end(self) -> None:
        """A worker ends; most of its threads were never started."""
        self.replotter.stop()
        self.harvester.inventory.stop()
        self.harvester.history.stop()
        self.harvester._surveys.close()
        self.harvester._work.close()

    def configure(self, **harvester: Any) -> None:
        self.section |= harvester
        self.config = self.folder / "plotman.yaml"
        farm = {"host": HOST, "state": str(self.folder / "state"), "broker": "redis://127.0.0.1:1/0"}
        text = yaml.safe_dump({"version": [2], "farm": farm, "harvester": self.section})
        self.config.write_text(text, encoding="utf-8")

    def reconfigure(self, **harvester: Any) -> None:
        """Another plotman.yaml takes effect."""
        self.configure(**harvester)
        self.harvester._configure(load(self.config))
        self.harvester.drives.refresh()

    def order(self, *classes: dict[str, Any], **more: Any) -> str:
        order = ReplotOrder.read(host=HOST, classes=list(classes or (OLD,)), by="anna@desk", **more)
        return self.replotter.begin(order)

    def switch(self) -> ReplotSwitch:
        return ReplotSwitch(host=HOST, by="anna@desk")

    @property
    def journal(self) -> Journal:
        return self.replotter._journal.now

    @property
    def report(self) -> ReplotReport:
        report = self.replotter.report()
        assert report is not None
        return report

    def reserve(self, plot: Path, **more: Any) -> Delivery:
        """A plotter sends a plot: its bytes are on a drive."""
        self.moves += 1
        order = ReserveOrder(
            host=HOST,
            source_host="p1",
            path=f"/dst/{plot.name}",
            size_bytes=plot.stat().st_size,
            door=False,
            move=str(self.moves),
            **more,
        )
        reservation = self.harvester.intake.reserve(order)
        if reservation.part is not None:
            Path(reservation.part).write_bytes(plot.read_bytes())
        return Delivery(reservation=reservation, digest=read_digest(plot, never))

    def admit(self, delivery: Delivery) -> Admission:
        return self.harvester.intake.admit(delivery, never)

    def arrive(self, *plots: Path, **more: Any) -> list[Path]:
        """Plots arrive and are taken in; where they are then."""
        return [Path(self.admit(self.reserve(plot, **more)).landed) for plot in plots]

    def put(self, drive: Path, *plots: Path) -> list[Path]:
        """Copies of plots lie on a drive, and the inventory has them."""
        drive.mkdir(exist_ok=True)
        return [Path(shutil.copy(plot, drive / plot.name)) for plot in plots]

    def known(self) -> None:
        """Wait until the inventory has read all drives as they are."""
        inventory = self.harvester.inventory
        self.harvester.drives.refresh()

        def is_known() -> bool:
            if inventory.store is None or inventory.unread():
                return False
            files = {str(drive): _files(drive) for drive in self.drives}
            return all(len(inventory.store.known(drive)) == count for drive, count in files.items())

        inventory._progress.clear()
        eventually(is_known, "the inventory knows all plots")

    def once(self) -> bool:
        """One look, with the inventory up to date."""
        self.known()
        return self.look()

    def look(self) -> bool:
        """One look, with what the inventory has."""
        self.harvester.drives.refresh()
        self.replacer.recover()
        return self.replacer.once()

    def rows(self) -> list[Row]:
        """Old plots that were deleted, by the history."""
        file = history_path(self.folder / "state", Role.HARVESTER)
        page = HistoryFile(file, check=False).page(HistoryKind.LANDINGS, 50) if file.exists() else []
        return [row for row in page if row.end is End.REPLACED]

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


def _files(drive: Path) -> int:
    return sum(path.suffix in (".plot", ".gplot", ".plot2") for path in drive.iterdir())


def aside(drive: Path) -> list[str]:
    """Names of plots that are set aside on a drive."""
    return sorted(path.name for path in part_files.folder(str(drive)).glob("*.replaced"))


def today() -> str:
    return datetime.now(UTC).date().isoformat()
