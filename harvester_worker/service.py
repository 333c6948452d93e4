"""What a harvester's Celery worker serves for as long as it lives."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection
from functools import cache, partial
from pathlib import Path
from typing import Any

from common.config import Config
from common.config.broker_url import broker_url
from common.config.check.programs import plain_plots, unproven
from common.config.sections.farm import Harvester as HarvesterSection
from common.config.sections.farm import names
from common.config.watch import ConfigWatch
from common.model import holds
from common.model.plot_name import PlotName
from common.model.snapshot import Drive, DriveUse, Event, HarvesterSnapshot
from common.names import Role
from common.store import Board
from common.system.machine import own_address
from common.system.probe import Probe
from common.worker import startup
from common.worker.duplicate_host import mark
from common.worker.move_step import MoveHeartbeat
from common.worker.publisher import Publisher
from common.worker.service import Served, ServiceStep
from harvester_worker.drives.disk_health import DisksHealth
from harvester_worker.drives.existing_plots import plots_with_ids
from harvester_worker.drives.part_files import now_utc
from harvester_worker.drives.plot_index import PlotIndex
from harvester_worker.drives.registry import LOOK_S, REFRESH_S, SWEEP_EVERY_S, DriveRegistry
from harvester_worker.drives.scrub import Scrub
from harvester_worker.evacuation.evacuator import Evacuator
from harvester_worker.evacuation.orders import KeptOrders
from harvester_worker.farmed.watch import FarmedWatch
from harvester_worker.history import LandingHistory
from harvester_worker.intake.admit import Admitter
from harvester_worker.intake.intake import Intake
from harvester_worker.intake.reserve import Limits, Reserver
from harvester_worker.intake.resume import drop_superseded
from harvester_worker.inventory.inventory import Inventory
from harvester_worker.operator import DriveHolds
from harvester_worker.receiver.receivers import Receivers
from harvester_worker.replot.replotter import Replotter
from harvester_worker.replot.settings import ReplotSettings
from harvester_worker.replot.surroundings import Surroundings

log = logging.getLogger(__name__)

_TICK_S = 1.0
_REASON_MOST = 200  # characters, in `status`
# Plots in the snapshot that were taken in last: another plotter may have a copy of one, for some hours.
_TAKEN_IN_MAX = 256


class Harvester:
    """One host's drives and their intake. Raises ValueError without a harvester section."""

    def __init__(self, settings: Config, board: Board) -> None:
        section = settings.harvester
        if section is None:
            raise ValueError("this machine's plotman.yaml has no section harvester")
        self.host = settings.host
        self._section = section
        plain = plain_plots(settings)
        self._plain = (f"harvester.receiver_tls {plain[0]}. {plain[1]}",) if plain else ()
        self._surveys, self._work = Probe(), Probe()
        self.board = board
        self._publisher = Publisher(board, Role.HARVESTER, self._snapshot, mark(settings.state_dir))
        self.holds = DriveHolds(settings.state_dir / "harvester-steering.json", self._publish_hold)
        evacuations = KeptOrders(settings.state_dir)
        self.drives = DriveRegistry(
            section.folders,
            section.plain_folders,
            self._surveys,
            cache(section.use_of),
            section.margin_bytes,
            lambda drive: self.holds.of_drive(drive) or evacuations.hold_of(drive),
            section.is_sure,
        )
        self._disks = DisksHealth(self.drives.published, self._publisher.changed)
        self.moves = MoveHeartbeat(board, self._publisher.tell)
        self.history = LandingHistory(settings)
        self._plot_index = PlotIndex(settings.state_dir / "landed.json")
        self._reserver = Reserver(self.drives, _limits(section), self._plot_index)
        self._admitter = Admitter(
            self.drives, self._work, section.proofs, read_back=section.read_back, plot_index=self._plot_index
        )
        self.intake = Intake(
            self.host,
            board,
            self._reserver,
            self._admitter,
            self._publisher.tell,
            partial(
                Receivers,
                settings.state_dir.absolute() / "receivers",
                section.receiver_address or own_address(broker_url(settings)),
                section.receiver_port,
                tls=settings.receiver_tls,
            ),
        )
        self.evacuations = Evacuator(
            self.host,
            settings.state_dir,
            board,
            self.drives,
            self._work,
            self._plot_index,
            evacuations,
            self._publisher,
            self._evacuated,
        )
        self._plots_tls = settings.receiver_tls
        file = settings.state_dir / "inventory.sqlite3"
        self.inventory = Inventory(self.drives, file, self._publisher.progressed)
        self.replot = Replotter(
            Surroundings(
                self.host,
                self.drives,
                self._work,
                self.inventory,
                self._plot_index,
                lambda: self._disks.added_to(self.drives.published()),
                lambda drive: evacuations.of(drive) is not None,
                self._is_moving,
            ),
            settings.state_dir,
            ReplotSettings.of(section),
            self.history.replaced,
            self._publisher,
        )
        self._admitter.watch = self.replot
        told = settings.state_dir / "not-farmed.json"
        self.farmed = FarmedWatch(self.host, section.chia_root, told, self._publisher.tell)
        self._scrub = self._new_scrub(section.scrub_bytes_s)
        self._watch = ConfigWatch(settings, Role.HARVESTER, self._configure, self._publisher)
        self._ending = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drives", daemon=True)

    def start(self) -> None:
        """Start all parts; the drives have been surveyed once when this returns."""
        self.drives.refresh()
        self.replot.open()
        self.intake.start()
        self.history.start()
        self._publisher.start()
        if self._scrub:
            self._scrub.start()
        self._publisher.changed()
        self.evacuations.start()
        self._thread.start()
        self.inventory.start()
        self.replot.start()
        self.farmed.start()
        self._disks.start()
        self._watch.start()

    def stop(self) -> None:
        self._watch.stop()
        self._ending.set()
        self._wake.set()
        self.replot.stop()
        self.evacuations.stop()
        self.intake.stop()
        self.inventory.stop()
        self.farmed.stop()
        self._disks.stop()
        if self._scrub:
            self._scrub.stop()
        self._publisher.stop()
        self.history.stop()
        self._surveys.close()
        self._work.close()

    def survey(self) -> tuple[Drive, ...]:
        """Survey all drives now, and publish changes."""
        before = self.drives.published()
        self.drives.refresh()
        now = self.drives.published()
        if now != before:
            self._publisher.changed()
        return now

    def find(self, plot_ids: Collection[str]) -> tuple[list[tuple[str, str]], list[str]]:
        """(plot id, path) of the plots with these ids on the drives, and the drives that could not be read.
        Takes LOOK_S at most."""
        drives = [path for path in self.drives.paths() if self.drives.use_of(path) is not DriveUse.DISABLED]
        answers = self._surveys.run_all(drives, partial(plots_with_ids, plot_ids), LOOK_S)
        unread = [path for path in self.drives.paths() if not isinstance(answers.get(path), list)]
        return [one for answer in answers.values() if isinstance(answer, list) for one in answer], unread

    def changed(self) -> None:
        """Publish a new snapshot soon: the drives have changed."""
        self._publisher.changed()

    def publish_now(self) -> None:
        """Publish all events and the snapshot before this returns, unless Redis is away."""
        self._publisher.publish_now()

    def configured_use(self, drive: str) -> DriveUse:
        """Use of a drive by plotman.yaml alone, without holds."""
        return self._section.use_of(drive)

    def _configure(self, settings: Config) -> None:
        """Apply another plotman.yaml; moves under way continue."""
        section = settings.harvester
        assert section is not None
        self.drives.configure(
            section.folders,
            section.plain_folders,
            cache(section.use_of),
            section.margin_bytes,
            section.is_sure,
        )
        self.drives.forget(partial(names, section.drives))
        self._reserver.limits = _limits(section)
        self.replot.settings = ReplotSettings.of(section)
        self.farmed.configure(section.chia_root)
        self._admitter.challenges, self._admitter.read_back = section.proofs, section.read_back
        if section.scrub_bytes_s != self._section.scrub_bytes_s:
            if self._scrub:
                self._scrub.stop()
            self._scrub = self._new_scrub(section.scrub_bytes_s)
            if self._scrub:
                self._scrub.start()
        self._section = section
        self._wake.set()

    def _new_scrub(self, rate_bytes_s: float | None) -> Scrub | None:
        return Scrub(self.drives, rate_bytes_s, self._damaged) if rate_bytes_s else None

    def _publish_hold(self, text: str) -> None:
        text = f"{self.host} {text}"
        log.info(text, extra={"action": "steered", "host": self.host})
        self._publisher.tell(Event(kind="steered", host=self.host, at=now_utc(), text=text))

    def _evacuated(self, drive: str, text: str) -> None:
        self.holds.change_reason(drive, text[:_REASON_MOST])

    def _is_moving(self, plot_id: str) -> bool:
        """Whether a plot arrives, or is taken in."""
        return self.intake.takes_in(plot_id) or plot_id in self.intake.arriving(self.drives.parts())

    def _damaged(self, plot: str, what: str) -> None:
        name = PlotName.parse(Path(plot).name)
        text = f"{plot} is damaged: {what}"
        plot_id = name.plot_id if name else None
        self._publisher.tell(Event(kind="damaged", host=self.host, at=now_utc(), text=text, plot_id=plot_id))

    def _run(self) -> None:
        next_sweep_s = next_survey_s = 0.0
        while not self._ending.is_set():
            before = self.drives.published()
            try:
                self.holds.expire()
                now_s = time.monotonic()
                if now_s >= next_sweep_s:
                    self.drives.sweep(takes_in=self.intake.takes_in)
                    next_sweep_s = now_s + SWEEP_EVERY_S
                elif now_s >= next_survey_s or self._wake.is_set():
                    self._wake.clear()
                    drop_superseded(self.drives, self._plot_index, self.drives.refresh())
                    next_survey_s = now_s + REFRESH_S
            except Exception:
                # Without this thread the farm would decide by an old state of the drives.
                log.exception("the survey of the drives failed", extra={"action": "look-failed"})
            if self.drives.published() != before:
                self._publisher.changed()
            self._wake.wait(_TICK_S)

    def _snapshot(self) -> HarvesterSnapshot:
        return HarvesterSnapshot(
            host=self.host,
            at=now_utc(),
            drives=self._disks.added_to(self.drives.published()),
            drained=self.holds.of_host(),
            plots_tls=self._plots_tls,
            utc_offset_s=holds.utc_offset_s(),
            writers_per_drive=self._section.writers_per_drive,
            margin_bytes=self._section.margin_bytes,
            replot=self._section.replot,
            low_water_bytes=self._section.low_water_bytes,
            taken_in=self._plot_index.latest(_TAKEN_IN_MAX),
            arriving=self.intake.arriving(self.drives.parts()),
            inventory=self.inventory.sums(),
            evacuations=self.evacuations.entries(),
            replot_report=self.replot.report(),
            problems=(
                *_lacks(self._section),
                *(self._plain if self.intake.takes_plain else ()),
                *self.farmed.problems(),
                *self._disks.problems(),
                *startup.problems(),
                *self._watch.problems,
            ),
        )


def _lacks(section: HarvesterSection) -> tuple[str, ...]:
    return tuple(f"harvester.proofs {what}. {remedy}" for what, remedy in unproven(section))


def _limits(section: HarvesterSection) -> Limits:
    return Limits(section.margin_bytes, section.writers_per_drive, section.placement)


served: Served[Harvester] = Served("This worker has no drives of")
current = served.by


class HarvesterService(ServiceStep):
    """Runs in the worker named harvester@HOST."""

    role = Role.HARVESTER
    served = served

    def make(self, settings: Config, board: Board, worker: Any) -> Harvester:  # noqa: ARG002
        return Harvester(settings, board)
