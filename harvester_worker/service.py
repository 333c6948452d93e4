"""The part of a harvester's Celery worker that lives as long as the worker does."""

from __future__ import annotations

import logging
import threading
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from celery import bootsteps

from common import config, startup
from common.broker import broker_url
from common.config import Config
from common.config.drives import use_of
from common.errors import OrderRefused
from common.moving import MoveKeeper
from common.names import Role, role_and_host
from common.plotfile import PlotName
from common.probe import Probe
from common.publisher import Publisher
from common.snapshot import Event, HarvesterSnapshot
from common.store import Board
from harvester_worker.admit import Admitter
from harvester_worker.door.address import own_address
from harvester_worker.door.doors import Doors
from harvester_worker.drives import REFRESH_S, SWEEP_EVERY_S, Drives
from harvester_worker.history import LandingHistory
from harvester_worker.incoming import now_utc
from harvester_worker.landed import Landed
from harvester_worker.reserve import Limits, Reserver
from harvester_worker.scrub import Scrub
from harvester_worker.way_in import WayIn

log = logging.getLogger(__name__)

_current: Harvester | None = None


def current(host: str) -> Harvester:
    """The harvester that this process serves. Raises OrderRefused when it is not `host`."""
    if _current is None or _current.host != host:
        raise OrderRefused(f"This worker has no drives of {host}.", "Send the task to the queue of its host.")
    return _current


class Harvester:
    """One host's drives and what is done with them. Raises ValueError without a harvester section."""

    def __init__(self, settings: Config, board: Board) -> None:
        section = settings.harvester
        if section is None:
            raise ValueError("this machine's plotman.yaml has no section harvester")
        self.host = settings.host
        self._writers_per_drive = section.writers_per_drive
        self._looks, self._work = Probe(), Probe()
        self._margin_bytes = section.margin_bytes
        self.drives = Drives(
            partial(config.drives, settings),
            section.plain_folders,
            self._looks,
            partial(use_of, section),
            section.margin_bytes,
        )
        self._publisher = Publisher(board, Role.HARVESTER, self._snapshot)
        self.moves = MoveKeeper(board, self._publisher.tell)
        self.history = LandingHistory(settings)
        landed = Landed(settings.state_dir / "landed.json")
        self.way_in = WayIn(
            self.host,
            board,
            Reserver(
                self.drives,
                Limits(section.margin_bytes, section.writers_per_drive, section.placement),
                landed,
            ),
            Admitter(self.drives, self._work, section.proofs, read_back=section.read_back, landed=landed),
            self._publisher.tell,
            partial(
                Doors,
                settings.state_dir.absolute() / "doors",
                section.door_address or own_address(broker_url(settings)),
                section.door_port,
                tls=section.door_tls,
            ),
        )
        rate_bytes_s = section.scrub_bytes_s
        self._scrub = Scrub(self.drives, rate_bytes_s, self._damaged) if rate_bytes_s else None
        self._ending = threading.Event()
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

    def stop(self) -> None:
        self._ending.set()
        self.way_in.stop()
        if self._scrub:
            self._scrub.stop()
        self._publisher.stop()
        self.history.stop()
        self._looks.close()
        self._work.close()

    def changed(self) -> None:
        """Something was done to the drives."""
        self._publisher.changed()

    def _damaged(self, plot: str, what: str) -> None:
        name = PlotName.parse(Path(plot).name)
        text = f"{plot} is damaged: {what}"
        plot_id = name.plot_id if name else None
        self._publisher.tell(Event(kind="damaged", host=self.host, at=now_utc(), text=text, plot_id=plot_id))

    def _keep_looking(self) -> None:
        rounds_between = round(SWEEP_EVERY_S / REFRESH_S)
        turn = 0
        while not self._ending.is_set():
            before = self.drives.shown()
            try:
                self.drives.sweep() if turn % rounds_between == 0 else self.drives.refresh()
            except Exception:
                # Were this thread to end, the farm would go on with what was true an hour ago.
                log.exception("looking at the drives failed", extra={"action": "look-failed"})
            if self.drives.shown() != before:
                self._publisher.changed()
            turn += 1
            self._ending.wait(REFRESH_S)

    def _snapshot(self) -> HarvesterSnapshot:
        return HarvesterSnapshot(
            host=self.host,
            at=now_utc(),
            drives=self.drives.shown(),
            writers_per_drive=self._writers_per_drive,
            margin_bytes=self._margin_bytes,
            problems=(*self.drives.problems(), *startup.problems()),
        )


class HarvesterService(bootsteps.StartStopStep):
    """Runs in the worker named harvester@HOST, and in no other."""

    requires: ClassVar = {"celery.worker.components:Pool", "common.startup:StartCheck"}

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        named = role_and_host(worker.hostname)
        self.enabled = named is not None and named[0] is Role.HARVESTER

    def start(self, worker: Any) -> None:  # noqa: ARG002
        global _current  # noqa: PLW0603  one worker per process; its tasks need to find it
        settings = config.load()
        _current = Harvester(settings, Board.connect(broker_url(settings)))
        _current.start()
        log.info("harvester %s is up with %d drives", _current.host, len(_current.drives.paths()))

    def stop(self, worker: Any) -> None:  # noqa: ARG002
        global _current  # noqa: PLW0603
        if _current is not None:
            _current.stop()
        _current = None

    terminate = stop
