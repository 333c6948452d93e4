"""A real farm of one machine in a folder: `plotman up` with everything that it starts, real plots.

Farms may run side by side (pytest -n 2), though they share the process table and each looks through all
of it: jobs of another plotman in directories that are not its own do not concern a host. A plotter that a
user started concerns every host, and counts for its limits; so those that tests start "by hand" carry
the mark of a plotman that does not exist (`by_hand`), and only the farm whose directories they use sees
them. tests/integration/plotter_worker/processes/test_table.py shows that one without any mark is found.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import redis
import yaml
from celery import Celery

from common.config.broker_url import embedded_broker
from common.errors import BrokerError
from common.model.snapshot import HarvesterSnapshot, Job, PlotterSnapshot
from common.names import Role
from common.store import Board
from plotter_worker.state.operator import OperatorStateFile
from tests.support.installed import from_wheel
from tests.support.sections import SCHEDULING, by_hand, small_plots
from tests.support.waiting import eventually

HOST = "testfarm"


@dataclass
class Farm:
    """folder: all of it. chia: the program. chia_root: its settings, which allow small plots."""

    folder: Path
    chia: Path
    chia_root: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def configure(self, tmp: int = 2, dst: int = 2, drives: int = 2, **changes: Any) -> None:
        """Lay out the folders and write plotman.yaml; `changes` are merged into it, section by section."""
        for name, count in (("tmp", tmp), ("dst", dst), ("drives", drives)):
            for number in range(1, count + 1):
                (self.folder / name / str(number)).mkdir(parents=True, exist_ok=True)
        content: dict[str, Any] = {
            "version": [2],
            "farm": {"host": HOST, "state": str(self.state), "flower": False},
            "logging": {"plots": str(self.logs)},
            "directories": {
                "tmp": [str(self.folder / "tmp" / str(number)) for number in range(1, tmp + 1)],
                "dst": [str(self.folder / "dst" / str(number)) for number in range(1, dst + 1)],
            },
            "scheduling": SCHEDULING | {"global_max_jobs": 2},
            "plotting": small_plots(self.chia),
            "archiving": {"target": "harvester"},
            "harvester": {
                "drives": [str(self.folder / "drives" / "*")],
                "plain_folders": True,
                "margin_bytes": 1_000_000,
                "receiver_port": 0,
            },
        }
        for section, values in changes.items():
            if values is None:
                content.pop(section, None)
            else:
                content[section] = content.get(section, {}) | values
        self.config.write_text(yaml.safe_dump(content), encoding="utf-8")

    @property
    def config(self) -> Path:
        return self.folder / "plotman.yaml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"PLOTMAN_CONFIG": str(self.config), "CHIA_ROOT": str(self.chia_root)}

    @property
    def by_hand(self) -> dict[str, str]:
        """Environment of plotters that only this farm's host shall take for a user's."""
        return self.environment | {"PLOTMAN_STATE": str(self.folder / "by hand")}

    def allow(self, plots: int) -> None:
        """Let only this number of plots start. Before `up`."""
        OperatorStateFile(self.state).change(lambda state: state.pausing_after(plots))

    def up(self, *arguments: str, wait: bool = True) -> subprocess.Popen[bytes]:
        """Start `plotman up`; wait until its plotter announced itself."""
        process = self.spawn(*from_wheel("plotman", "up", *arguments), log="up.log")
        if wait:
            eventually(self.alive, "the plotter announces itself", 60)
        return process

    def spawn(self, *argv: str, log: str = "spawned.log") -> subprocess.Popen[bytes]:
        """Start a process with this farm's environment; it is ended with the farm. log: what it says, a file
        in the farm's folder."""
        with (self.folder / log).open("ab") as output:
            process = subprocess.Popen(
                argv,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def alive(self) -> bool:
        return self.maybe_plotter() is not None

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A verb of the command line."""
        return self._ran("plotman", *arguments)

    def celery(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._ran("celery", "-A", "plotman", *arguments)

    def _ran(self, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            from_wheel(module, *arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def client(self) -> Celery:
        """A Celery app that only sends."""
        app = Celery("client", broker=self.url, backend=self.url)
        app.conf.broker_transport_options = {"priority_steps": [0]}
        return app

    @property
    def url(self) -> str:
        """Of the broker that `plotman up` brought along."""
        address = embedded_broker(self.state)
        assert address is not None
        return address.url

    def board(self) -> Board:
        return Board.connect(self.url)

    def maybe_plotter(self) -> PlotterSnapshot | None:
        if embedded_broker(self.state) is None:
            return None
        try:
            return self.board().snapshots(Role.PLOTTER).get(HOST)
        except BrokerError:
            return None

    def plotter(self) -> PlotterSnapshot:
        return eventually(self.maybe_plotter, "the plotter is on the board")

    def harvester(self) -> HarvesterSnapshot:
        found: HarvesterSnapshot = eventually(
            lambda: self.board().snapshots(Role.HARVESTER).get(HOST), "the harvester is on the board"
        )
        return found

    def jobs(self) -> tuple[Job, ...]:
        """Running plots in this farm's directories; the plots of others on this machine left out."""
        snapshot = self.maybe_plotter()
        return tuple(job for job in snapshot.jobs if self.holds(job)) if snapshot else ()

    def holds(self, job: Job) -> bool:
        return job.tmp is not None and Path(job.tmp).is_relative_to(self.folder)

    def events(self, *kinds: str) -> list[Any]:
        """What happened so far, of these kinds, oldest first."""
        try:
            events = [event for _, event in self.board().newest_events(10_000)]
        except BrokerError:
            return []
        return [event for event in events if not kinds or event.kind in kinds]

    def waits(self) -> dict[str, str]:
        """Rule -> reason, of all that waits now."""
        waits = self.board().waits()
        return {wait.rule: wait.reason for wait in waits.waits} if waits else {}

    def decided_again(self) -> None:
        """Wait until beat has decided once more and published the waits, which it does after its orders."""
        before = self.board().waits()
        assert before is not None
        eventually(lambda: (now := self.board().waits()) and now.at > before.at, "beat decides again")

    def status_of(self, task_id: str) -> str | None:
        """State of a task as Celery's backend has it: STARTED, SUCCESS, FAILURE, ..."""
        return self.result(task_id).get("status")

    def result(self, task_id: str) -> dict[str, Any]:
        """What Celery's backend holds of a task: status, result, ...; empty where it knows nothing."""
        with redis.Redis.from_url(self.url) as client:
            text = client.get(f"celery-task-meta-{task_id}")
        found: dict[str, Any] = json.loads(text) if text else {}  # type: ignore[arg-type]
        return found

    def archived(self) -> list[Path]:
        return sorted(self.folder.glob("drives/*/plot-*.plot"))

    def pids(self) -> dict[str, int]:
        """Name -> pid of what `plotman up` keeps running (plotman/supervisor/locks.py)."""
        records = json.loads((self.state / "up.children.json").read_text())
        return {record["name"]: record["pid"] for record in records}

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Signal one of the farm's own processes; returns its pid."""
        pid = self.pids()[name]
        os.kill(pid, number)
        return pid

    def plot_by_hand(self, tmp: Path, dst: Path, log: Path | None, k: int = 18) -> subprocess.Popen[bytes]:
        """A plotter as a user starts it, without plotman."""
        output = log.open("ab") if log else subprocess.PIPE
        process = subprocess.Popen(
            by_hand(self.chia, tmp, dst, k),
            env=self.by_hand,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        self.processes.append(process)
        return process

    def stop(self) -> None:
        """End exactly what this farm started, at once: how it stops on a signal is for tests to look at, and
        takes each a second or two. The runners go first; nobody starts anything again then."""
        family = {child for process in self.processes for child in _children(process.pid)}
        for process in self.processes:
            process.kill()
            process.wait()
        while found := [*filter(_lives, family), *self._started()]:
            for process in found:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            eventually(lambda found=found: not any(map(_lives, found)), "what was killed has ended")

    def _started(self) -> Iterator[psutil.Process]:
        """What runs with this farm's configuration: its plotters and transfers too, which outlive workers."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("PLOTMAN_CONFIG") == str(self.config):
                    yield process


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _children(pid: int) -> list[psutil.Process]:
    """All below a process; none where it has ended."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def plotters_of(state: Path) -> Iterator[psutil.Process]:
    """What a plotman with this state folder has started, and still runs."""
    for process in psutil.process_iter():
        try:
            if process.environ().get("PLOTMAN_STATE") == str(state):
                yield process
        except psutil.Error:
            continue
