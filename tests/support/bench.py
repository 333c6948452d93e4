"""A plotter host with beat's rules and no Celery or Redis between them: what they make of the machine is
the same, and a hundred situations take the time of one farm.

Real are the processes, the logs, the directories, the records; the plotter is a fake that replays real
logs. What Celery does in between is done here in one thread: carry orders, report what has ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import pytest

from beat.policy.decide import decide
from common.config import Config, load
from common.errors import OrderRefused
from common.model.board_state import BoardState
from common.model.messages import PlotOrder
from common.model.snapshot import Event, Job, PlotterSnapshot, Wait
from plotter_worker.host.plotter_host import PlotterHost
from plotter_worker.reporting.events import PlotterEvents
from tests.support.farm import HOST, Farm, plotters_of
from tests.support.paths import LOGS
from tests.support.waiting import eventually

FAKE = Path(__file__).with_name("fake_chia.py")
PLAIN = f"{sys.executable} -IS"  # what follows `#!` in the fake's first line


class Outlet:
    """Keeps the events, and wakes the thread that decides."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.woken = threading.Event()

    def changed(self) -> None:
        self.woken.set()

    def progressed(self) -> None:
        self.woken.set()

    def tell(self, event: Event) -> None:
        self.events.append(event)
        self.woken.set()

    def publish_now(self) -> None:
        self.woken.set()


@dataclass
class Bench:
    """farm: its folders; nothing of it is started. settings: as its plotman.yaml was written."""

    farm: Farm
    settings: Config
    outlet: Outlet = field(default_factory=Outlet)
    refusals: list[str] = field(default_factory=list)
    _waits: tuple[Wait, ...] = ()
    _host: PlotterHost | None = None
    _stopping: bool = False
    _thread: threading.Thread | None = None

    @classmethod
    def lay_out(
        cls,
        folder: Path,
        state: str = "state",
        shebang: str = PLAIN,
        tmp: int = 1,
        dst: int = 1,
        **changes: Any,
    ) -> Bench:
        """A host with the fake plotter, in `folder`; benches with different `state` share its directories.

        changes: of plotman.yaml, as Farm.configure takes them.
        """
        program = folder / "bin" / "chia"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!{shebang}\n{FAKE.read_text(encoding='utf-8')}", encoding="utf-8")
        program.chmod(0o755)
        farm = Farm(folder, program, folder)
        changes.setdefault("farm", {"state": str(folder / state)})
        farm.configure(tmp=tmp, dst=dst, drives=0, archiving=None, harvester=None, **changes)
        made = cls(farm, load(farm.config))
        made.plan()
        return made

    def plan(self, **plan: Any) -> None:
        """What plotters do that start from now on (fake_chia.py); `log` by its name among the tests' logs."""
        if "log" in plan:
            plan["log"] = str(LOGS / f"{plan['log']}.log")
        fresh = self.program.with_name("plan.new")
        fresh.write_text(json.dumps(plan), encoding="utf-8")
        fresh.replace(self.program.with_name("plan.json"))

    def go(self) -> None:
        """Let the plotters pass the plan's `hold`."""
        self.program.with_name("go").touch()

    @property
    def program(self) -> Path:
        return self.farm.chia

    @property
    def tmp(self) -> Path:
        return self.farm.folder / "tmp" / "1"

    @property
    def dst(self) -> Path:
        return self.farm.folder / "dst" / "1"

    def by_hand(
        self, output: IO[bytes] | int = subprocess.DEVNULL, *arguments: str | bytes
    ) -> subprocess.Popen[bytes]:
        """A plotter as a user starts it, in the first tmp directory; arguments: beside the usual ones."""
        argv = [self.program, "plotters", "chiapos", "-k", "18", "-t", self.tmp, "-d", self.dst, *arguments]
        child = subprocess.Popen(argv, stdout=output, env=self.farm.by_hand)
        self.farm.processes.append(child)
        return child

    def start(self) -> None:
        """Begin to follow, decide and start."""
        self._host = PlotterHost(self.settings, PlotterEvents(HOST, self.outlet), lambda *_, **__: None)
        self._host.start()
        self._thread = threading.Thread(target=self._run, name="decide", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        if self._thread is not None:
            self.outlet.woken.set()
            self._thread.join(timeout=10)
        if self._host is not None:
            self._host.stop()

    @property
    def host(self) -> PlotterHost:
        assert self._host is not None
        return self._host

    @property
    def snapshot(self) -> PlotterSnapshot:
        return self.host.snapshot()

    @property
    def jobs(self) -> tuple[Job, ...]:
        return self.snapshot.jobs

    def waits(self) -> dict[str, str]:
        """Rule -> reason, as of the last round."""
        return {wait.rule: wait.reason for wait in self._waits}

    def told(self, kind: str) -> list[Event]:
        return [event for event in self.outlet.events if event.kind == kind]

    def told_of(self, job: Job) -> set[str]:
        """Kinds of its events."""
        return {event.kind for event in self.outlet.events if event.task_id == job.task_id}

    def stamps(self, what: str = "start") -> list[dict[str, Any]]:
        """What the fake plotters noted: `at`, seconds since the epoch, `born_s`, when the
        kernel made the process, in hundredths of a second since boot, `tmp`, `dst`, `pid`."""
        path = self.program.with_name("stamps")
        noted = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [stamp for line in noted if (stamp := json.loads(line))["what"] == what]

    def until(self, condition: Callable[[], Any], what: str, timeout_s: float = 15) -> Any:
        return eventually(condition, f"{what}; waits {self.waits()}", timeout_s)

    def _run(self) -> None:
        while not self._stopping:
            rest_s = self._round()
            self.outlet.woken.wait(rest_s)
            self.outlet.woken.clear()

    def _round(self) -> float:
        """Seconds until the next one is due."""
        for event in list(self.outlet.events):
            job = self.host.jobs.get(event.task_id or "")
            if event.kind in ("plot-done", "plot-failed", "plot-ended") and job is not None:
                self.host.reported(job)
        now = datetime.now(UTC)
        decision = decide(BoardState({HOST: self.snapshot}), now)
        self._waits = decision.waits
        for start in decision.starts:
            order = PlotOrder(host=HOST, tmp=start.tmp, dst=start.dst, start_token=start.start_token)
            try:
                self.host.take_order(str(uuid4()), order)
            except OrderRefused as error:
                self.refusals.append(str(error))
                time.sleep(0.01)
        due = [(wait.until - datetime.now(UTC)).total_seconds() for wait in decision.waits if wait.until]
        return max(0.001, min([0.5, *due])) if not decision.starts else 0.001


@contextmanager
def running(bench: Bench) -> Iterator[Bench]:
    """The bench, started; what it started is ended."""
    try:
        bench.start()
        yield bench
    finally:
        bench.stop()
        for process in bench.farm.processes:
            process.kill()
            process.wait()
        for plotter in plotters_of(bench.settings.state_dir):
            plotter.kill()


@contextmanager
def small_drive(path: Path, size: str) -> Iterator[None]:
    """A file system of this size at `path`."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small drive needs root")
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", path], check=True)
