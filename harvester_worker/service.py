"""The part of a harvester's Celery worker that lives as long as the worker does."""

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
from common.config.drives import drives, is_sure, names, use_of
from common.config.farm import Harvester as HarvesterSection
from common.config.libraries import PROVE, UNPROVEN, cannot_prove
from common.config.watch import ConfigWatch
from common.model import holds
from common.model.plot_name import PlotName
from common.model.snapshot import Drive, DriveUse, Event, HarvesterSnapshot
from common.names import Role
from common.store import Board
from common.system.probe import Probe
from common.worker import startup
from common.worker.duplicate_host import mark
from common.worker.move_step import MoveHeartbeat
from common.worker.publisher import Publisher
from common.worker.service import Served, ServiceStep
from harvester_worker.drives.existing_plots import holding
from harvester_worker.drives.part_files import now_utc
from harvester_worker.drives.plot_index import PlotIndex
from harvester_worker.drives.registry import LOOK_S, REFRESH_S, SWEEP_EVERY_S, DriveRegistry
from harvester_worker.drives.scrub import Scrub
from harvester_worker.history import LandingHistory
from harvester_worker.intake.admit import Admitter
from harvester_worker.intake.duplicates import drop_superseded
from harvester_worker.intake.intake import Intake
from harvester_worker.intake.reserve import Limits, Reserver
from harvester_worker.operator import DriveHolds
from harvester_worker.receiver.address import own_address
from harvester_worker.receiver.receivers import Receivers

log = logging.getLogger(__name__)

_STEER_S = 1.0  # between two looks at what is to end by itself


class Harvester:
    """One host's drives and what is done with them. Raises ValueError without a harvester section."""

    def __init__(self, settings: Config, board: Board) -> None:
        section = settings.harvester
        if section is None:
            raise ValueError("this machine's plotman.yaml has no section harvester")
        self.host = settings.host
        self._section = section
        self._looks, self._work = Probe(), Probe()
        self._publisher = Publisher(board, Role.HARVESTER, self._snapshot, mark(settings.state_dir))
        self.steering = DriveHolds(settings.state_dir / "harvester-steering.json", self._steered)
        self.drives = DriveRegistry(
            partial(drives, settings),
            section.plain_folders,
            self._looks,
            cache(partial(use_of, section)),
            section.margin_bytes,
            self.steering.of_drive,
            partial(is_sure, section),
        )
        self.moves = MoveHeartbeat(board, self._publisher.tell)
        self.history = LandingHistory(settings)
        self._landed = landed = PlotIndex(settings.state_dir / "landed.json")
        self._reserver = Reserver(self.drives, _limits(section), landed)
        self._admitter = Admitter(
            self.drives, self._work, section.proofs, read_back=section.read_back, landed=landed
        )
        self.way_in = Intake(
            self.host,
            board,
            self._reserver,
            self._admitter,
            self._publisher.tell,
            partial(
                Receivers,
                settings.state_dir.absolute() / "doors",
                section.receiver_address or own_address(broker_url(settings)),
                section.receiver_port,
                tls=section.receiver_tls,
            ),
        )
        self._scrub = self._new_scrub(section.scrub_bytes_s)
        self._watch = ConfigWatch(settings, Role.HARVESTER, self._follow, self._publisher)
        self._ending = threading.Event()
        self._look_now = threading.Event()
        self._thread = threading.Thread(target=self._keep_looking, name="drives", daemon=True)

    def start(self) -> None:
        """The drives have been looked at once when this returns."""
        self.drives.refresh()
        self.way_in.start()
        self.history.start()
        self._publisher.start()
        if self._scrub:
            self._scrub.start()
        self._publisher.changed()
        self._thread.start()
        self._watch.start()

    def stop(self) -> None:
        self._watch.stop()
        self._ending.set()
        self._look_now.set()
        self.way_in.stop()
        if self._scrub:
            self._scrub.stop()
        self._publisher.stop()
        self.history.stop()
        self._looks.close()
        self._work.close()

    def look(self) -> tuple[Drive, ...]:
        """All drives as they are now. The board is told, too, where that is news."""
        before = self.drives.shown()
        self.drives.refresh()
        now = self.drives.shown()
        if now != before:
            self._publisher.changed()
        return now

    def find(self, plot_ids: Collection[str]) -> tuple[list[tuple[str, str]], list[str]]:
        """(plot id, path) of the plots with these ids on the drives, and the drives that could not be read.
        Takes LOOK_S at most."""
        drives = [path for path in self.drives.paths() if self.drives.use_of(path) is not DriveUse.DISABLED]
        answers = self._looks.run_all(drives, partial(holding, plot_ids), LOOK_S)
        unread = [path for path in self.drives.paths() if not isinstance(answers.get(path), list)]
        return [one for answer in answers.values() if isinstance(answer, list) for one in answer], unread

    def changed(self) -> None:
        """Something was done to the drives."""
        self._publisher.changed()

    def publish_now(self) -> None:
        """Wait until all that was told stands on the board, unless Redis is away."""
        self._publisher.publish_now()

    def configured_use(self, drive: str) -> DriveUse:
        """What plotman.yaml wants of a drive, whatever a person said since."""
        return use_of(self._section, drive)

    def _follow(self, settings: Config) -> None:
        """Go on by another plotman.yaml; what is on its way lands."""
        section = settings.harvester
        assert section is not None
        self.drives.follow(
            partial(drives, settings),
            section.plain_folders,
            cache(partial(use_of, section)),
            section.margin_bytes,
            partial(is_sure, section),
        )
        self.drives.forget(partial(names, section.drives))
        self._reserver.limits = _limits(section)
        self._admitter.challenges, self._admitter.read_back = section.proofs, section.read_back
        if section.scrub_bytes_s != self._section.scrub_bytes_s:
            if self._scrub:
                self._scrub.stop()
            self._scrub = self._new_scrub(section.scrub_bytes_s)
            if self._scrub:
                self._scrub.start()
        self._section = section
        self._look_now.set()

    def _new_scrub(self, rate_bytes_s: float | None) -> Scrub | None:
        return Scrub(self.drives, rate_bytes_s, self._damaged) if rate_bytes_s else None

    def _steered(self, text: str) -> None:
        text = f"{self.host} {text}"
        log.info(text, extra={"action": "steered", "host": self.host})
        self._publisher.tell(Event(kind="steered", host=self.host, at=now_utc(), text=text))

    def _damaged(self, plot: str, what: str) -> None:
        name = PlotName.parse(Path(plot).name)
        text = f"{plot} is damaged: {what}"
        plot_id = name.plot_id if name else None
        self._publisher.tell(Event(kind="damaged", host=self.host, at=now_utc(), text=text, plot_id=plot_id))

    def _keep_looking(self) -> None:
        next_sweep_s = next_look_s = 0.0
        while not self._ending.is_set():
            before = self.drives.shown()
            try:
                self.steering.expire()
                now_s = time.monotonic()
                if now_s >= next_sweep_s:
                    self.drives.sweep(in_hand=self.way_in.takes_in)
                    next_sweep_s = now_s + SWEEP_EVERY_S
                elif now_s >= next_look_s or self._look_now.is_set():
                    self._look_now.clear()
                    drop_superseded(self.drives, self._landed, self.drives.refresh())
                    next_look_s = now_s + REFRESH_S
            except Exception:
                # Were this thread to end, the farm would go on with what was true an hour ago.
                log.exception("looking at the drives failed", extra={"action": "look-failed"})
            if self.drives.shown() != before:
                self._publisher.changed()
            self._look_now.wait(_STEER_S)

    def _snapshot(self) -> HarvesterSnapshot:
        return HarvesterSnapshot(
            host=self.host,
            at=now_utc(),
            drives=self.drives.shown(),
            drained=self.steering.of_host(),
            utc_offset_s=holds.utc_offset_s(),
            writers_per_drive=self._section.writers_per_drive,
            margin_bytes=self._section.margin_bytes,
            problems=(
                *self.drives.problems(),
                *_lacks(self._section),
                *startup.problems(),
                *self._watch.problems,
            ),
        )


def _lacks(section: HarvesterSection) -> tuple[str, ...]:
    return (f"harvester.proofs {UNPROVEN}. {PROVE}",) if cannot_prove(section) else ()


def _limits(section: HarvesterSection) -> Limits:
    return Limits(section.margin_bytes, section.writers_per_drive, section.placement)


served: Served[Harvester] = Served("This worker has no drives of")


def current(host: str) -> Harvester:
    """The harvester that this process serves. Raises OrderRefused when it is not `host`."""
    return served.by(host)


class HarvesterService(ServiceStep):
    """Runs in the worker named harvester@HOST."""

    role = Role.HARVESTER
    served = served

    def make(self, settings: Config, board: Board, worker: Any) -> Harvester:  # noqa: ARG002
        return Harvester(settings, board)
