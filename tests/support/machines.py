"""A farm of several machines in a lab: `plotman up` on each, with a plotman.yaml of its own.

hub: Redis and the scheduler. p1, p2 ...: plotters. h1, h2 ...: harvesters. The tests stand outside: they
read the notice board over Redis' unix socket, which no fault of the network reaches, and the drives
through the hosts' mount namespaces.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis
from celery import Celery

from common.errors import BrokerError
from common.model.pending import PendingMove
from common.model.snapshot import ArchiverSnapshot, Event, HarvesterSnapshot, Job, PlotterSnapshot
from common.names import PAUSE, UNPAUSE, Role
from common.store import Board
from plotman.settings import celery_settings
from plotman.supervisor import broker
from plotter_worker.state.operator import OperatorStateFile
from tests.support.lab import Host, Lab
from tests.support.machine import Harvester, Machine, Plotter
from tests.support.sections import SCHEDULING, small_plots
from tests.support.waiting import eventually

HUB = "hub"
PORT = 6379
PASSWORD = "a-password-for-tests"
MARGIN_BYTES = 1_000_000
MB = 1_000_000
OWN = "own"  # the drive with plotman's own files, where a machine has one


class Machines:
    """The farm. chia: the plotter. chia_root: its settings, which allow small plots."""

    def __init__(self, folder: Path, chia: Path, chia_root: Path) -> None:
        self.lab = Lab(folder)
        self.folder = folder
        self.plotters: dict[str, Plotter] = {}
        self.harvesters: dict[str, Harvester] = {}
        self.schedulers: dict[str, Machine] = {}
        self.chia = chia
        self.environment = {"CHIA_ROOT": str(chia_root)}
        self._broker_host = self.lab.host(HUB)
        self._socket = folder / "redis.sock"
        self._broker_pid = 0
        self._app: Celery | None = None

    # What stands where.

    def start_broker(self, empty: bool = False, program: Path | None = None) -> None:
        """Redis on the hub. empty: without what it knew. program: None: the one that plotman brings along."""
        folder = self.folder / "redis"
        if empty:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        settings = self.folder / "redis.conf"
        settings.write_text(
            f"bind {self._broker_host.address} 127.0.0.1\nport {PORT}\nrequirepass {PASSWORD}\n"
            f"unixsocket {self._socket}\ndir {folder}\nsave ''\nappendonly yes\nappendfsync everysec\n"
            "maxmemory-policy noeviction\ntcp-keepalive 60\n",
            encoding="utf-8",
        )
        log = self.folder / "redis.log"
        self._broker_pid = self._broker_host.spawn(program or broker.binary(), settings, log=log)
        eventually(lambda: broker.answers(self._outside), "Redis answers")

    def kill_broker(self) -> None:
        os.kill(self._broker_pid, signal.SIGKILL)
        eventually(lambda: not broker.answers(self._outside), "Redis is gone")

    def freeze_broker(self, frozen: bool) -> None:
        os.kill(self._broker_pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    def add_scheduler(self, name: str = HUB, flower: bool = False) -> Machine:
        host = self._broker_host if name == HUB else self.lab.host(name)
        settings = self._settings(host, host.folder, scheduler=True, flower=flower)
        made = Machine(host, settings, self.environment)
        self.schedulers[name] = made
        return made

    def add_plotter(
        self, name: str, dst_bytes: int = 96 * MB, own_bytes: int | None = None, **changes: Any
    ) -> Plotter:
        """A machine with two tmp and one dst directory, each a drive. No plot starts before `more`.

        own_bytes: of a drive for plotman's own files and the plotters' logs; None: those are on a disk that
            no fault befalls.
        """
        host = self.lab.host(name)
        own = host.drive(OWN, own_bytes) if own_bytes else host.folder
        tmp = tuple(host.drive(f"tmp{number}", 400 * MB) for number in (1, 2))
        dst = host.drive("dst", dst_bytes)
        settings = self._settings(host, own) | {
            "logging": {"plots": str(own / "logs")},
            "directories": {"tmp": [str(path) for path in tmp], "dst": [str(dst)]},
            "scheduling": SCHEDULING
            | {"tmpdir_stagger_phase_major": 5, "tmpdir_stagger_phase_minor": 0, "global_max_jobs": 2},
            "plotting": small_plots(self.chia),
            "archiving": {"target": "harvester"},
        }
        made = Plotter(host, _merged(settings, changes), self.environment)
        made.tmp, made.dst = tmp, dst
        OperatorStateFile(made.state).change(lambda state: state.pausing_after(0))
        self.plotters[name] = made
        return made

    def add_harvester(
        self,
        name: str,
        drives: int = 3,
        drive_bytes: int = 48 * MB,
        kind: str = "ext4",
        own_bytes: int | None = None,
        **changes: Any,
    ) -> Harvester:
        """A machine with this number of drives, d1, d2 ..., of a file system of this kind. own_bytes: as with
        plotters."""
        host = self.lab.host(name)
        own = host.drive(OWN, own_bytes) if own_bytes else host.folder
        paths = {f"d{number}": host.drive(f"d{number}", drive_bytes, kind) for number in range(1, drives + 1)}
        settings = self._settings(host, own) | {
            "harvester": {"drives": [str(path) for path in paths.values()], "margin_bytes": MARGIN_BYTES}
        }
        made = Harvester(host, _merged(settings, changes), self.environment)
        made.drives = paths
        self.harvesters[name] = made
        return made

    def _settings(
        self, host: Host, own: Path, scheduler: bool = False, flower: bool = False
    ) -> dict[str, Any]:
        url = f"redis://:{PASSWORD}@{self._broker_host.address}:{PORT}/0"
        state = str(own / "state")
        farm = {"broker": url, "state": state, "scheduler": scheduler, "flower": flower}
        return {"version": [2], "farm": farm}

    @property
    def machines(self) -> Iterator[Machine]:
        yield from self.schedulers.values()
        yield from self.harvesters.values()
        yield from self.plotters.values()

    def up(self) -> None:
        """Start everything, and wait until everybody has announced himself."""
        for machine in self.machines:
            machine.up()
        self.all_there()

    def all_there(self, timeout_s: float = 90) -> None:
        """Wait until every plotter, archiver and harvester is on the board, and beat decides."""
        board = self.board()

        def there() -> bool:
            try:
                known = {role: board.snapshots(role).keys() for role in Role}
                decided = board.waits() is not None
            except BrokerError:
                return False
            senders, takers = known[Role.PLOTTER] & known[Role.ARCHIVER], known[Role.HARVESTER]
            return decided and self.plotters.keys() <= senders and self.harvesters.keys() <= takers

        eventually(there, "every machine is on the notice board", timeout_s)

    def close(self) -> None:
        self.lab.close()

    # What operators do.

    @property
    def _outside(self) -> str:
        return f"unix://:{PASSWORD}@{self._socket}"

    def app(self) -> Celery:
        """Somebody who sends tasks by hand. Results are read with `result`: a client that waits for them
        would not survive what befalls Redis here."""
        if self._app is None:
            self._app = Celery("outside", set_as_current=False)
            settings = celery_settings(self._outside, "outside") | {
                "result_backend": "disabled",
                "result_failure_expires": None,
            }
            # A unix socket has no keepalive.
            options = settings["broker_transport_options"]
            options = {name: value for name, value in options.items() if "keepalive" not in name}
            self._app.conf.update(settings | {"broker_transport_options": options})
        return self._app

    def result(self, task_id: str) -> dict[str, Any]:
        """What Celery's backend holds of a task: status, result, ...; empty where it knows nothing."""
        with self.redis() as client:
            text = client.get(f"celery-task-meta-{task_id}")
        found: dict[str, Any] = json.loads(text) if text else {}  # type: ignore[arg-type]
        return found

    def succeeded(self, task_id: str) -> bool:
        return self.result(task_id).get("status") == "SUCCESS"

    def more(self, plotter: str, plots: int | None) -> None:
        """Let this number of plots start on a plotter; None: as many as the rules allow."""
        if plots is None:
            self.call(UNPAUSE, host=plotter)
        else:
            self.call(PAUSE, host=plotter, after=plots)

    def call(self, task: str, timeout_s: float = 60, **arguments: Any) -> Any:
        """Have a task done, and give its answer. It is sent again every few seconds, as users do: one that
        was on its way when the connection broke is lost."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            sent = self.app().send_task(task, kwargs=arguments, expires=5).id
            again = min(deadline, time.monotonic() + 6)
            while time.monotonic() < again:
                found = self.result(sent)
                if found.get("status") in ("SUCCESS", "FAILURE"):
                    assert found["status"] == "SUCCESS", f"{task}({arguments}): {found['result']}"
                    return found["result"]
                time.sleep(0.02)
        raise AssertionError(f"{task}({arguments}) is not carried out within {timeout_s} s")

    # What the board says.

    def board(self) -> Board:
        return Board.connect(self._outside)

    def redis(self) -> redis.Redis:
        """Redis itself, for what no program of ours would do to it."""
        return redis.Redis(unix_socket_path=str(self._socket), password=PASSWORD, decode_responses=True)

    def plotter(self, name: str) -> PlotterSnapshot | None:
        return self._snapshot(Role.PLOTTER, name)

    def archiver(self, name: str) -> ArchiverSnapshot | None:
        return self._snapshot(Role.ARCHIVER, name)

    def harvester(self, name: str) -> HarvesterSnapshot | None:
        return self._snapshot(Role.HARVESTER, name)

    def _snapshot(self, role: Role, name: str) -> Any:
        try:
            return self.board().snapshots(role).get(name)
        except BrokerError:
            return None

    def jobs(self, plotter: str) -> tuple[Job, ...]:
        snapshot = self.plotter(plotter)
        return snapshot.jobs if snapshot else ()

    def moves(self) -> list[PendingMove]:
        try:
            found = self.board().moves(list(self.plotters))
        except BrokerError:
            return []
        return [move for moves in found.values() for move in moves]

    def events(self, *kinds: str) -> list[Event]:
        """What happened so far, of these kinds, oldest first; since Redis was last emptied."""
        try:
            found = [event for _, event in self.board().newest_events(10_000)]
        except BrokerError:
            return []
        return [event for event in found if not kinds or event.kind in kinds]

    def waits(self) -> dict[str, str]:
        """Rule -> reason, of all that waits now."""
        try:
            waits = self.board().waits()
        except BrokerError:
            return {}
        return {wait.rule: wait.reason for wait in waits.waits} if waits else {}


def _merged(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return settings | {section: settings.get(section, {}) | values for section, values in changes.items()}
