"""Farms for the dashboard's tests: made of snapshots at a fixed time, and shown as if they had been read."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from common.errors import BrokerError, PlotmanError
from common.model.phase import Phase
from common.model.plot_class import ClassSum, InventorySums, PoolKind
from common.model.snapshot import (
    ArchiverSnapshot,
    Directory,
    DirState,
    DiskHealth,
    Drive,
    DriveUse,
    Event,
    FinishedPlot,
    HarvesterSnapshot,
    Hold,
    Job,
    PlotState,
    PlotterSnapshot,
    RunStatus,
    Tally,
    TmpDir,
    Transfer,
    Wait,
    Waits,
)
from common.names import Role
from plotman.control.farm import FarmState
from plotman.control.rpc import TaskCall
from tests.support.paper import GB, K32, T


def plot_id(number: int) -> str:
    return f"{(number * 2654435761) % 2**32:08x}" * 8


def job(number: int, tmp: str, phase: str | None = "2:1", percent: float | None = 40, **fields: Any) -> Job:
    given: dict[str, Any] = {
        "task_id": f"task-{number:04}",
        "plotter": "chia",
        "pid": 4000 + number,
        "started_at": T - timedelta(seconds=3000 + 977 * number),
        "ours": True,
        "proven": True,
        "plot_id": plot_id(number),
        "k": 32,
        "percent": percent,
        "eta_s": 9000 + 60 * number,
        "tmp": tmp,
        "dst": f"/mnt/dst/{number % 2}",
        "log": f"/var/log/plotman/plots/{number}.log",
        "status": RunStatus.RUNNING,
        "tmp_used_bytes": 120 * GB + number * GB,
        "mem_bytes": 3_400_000_000,
        "user_s": 5000 + number,
        "sys_s": 400,
        "iowait_s": 120,
    }
    return Job(**given | {"phase": phase and Phase.parse(phase)} | fields)


def tmp_dir(path: str, **fields: Any) -> TmpDir:
    given = {"max_jobs": 4, "stagger_phase": Phase(2, 1), "stagger_limit": 1, "state": DirState.OK}
    return TmpDir(path=path, **{**given, "free_bytes": 1600 * GB, "total_bytes": 3800 * GB, **fields})


def plotter(host: str, *tmp_dirs: TmpDir, jobs: tuple[Job, ...] = (), **fields: Any) -> PlotterSnapshot:
    given: dict[str, Any] = {
        "host": host,
        "at": T,
        "start_token": "a:7",
        "plotting": True,
        "global_max_jobs": 12,
        "global_stagger_s": 1800,
        "recipe": K32,
        "dst_dirs": tuple(
            Directory(path=f"/mnt/dst/{number}", state=DirState.OK, free_bytes=(900 - 700 * number) * GB)
            for number in range(2)
        ),
        "archiving": True,
    }
    return PlotterSnapshot(tmp_dirs=tmp_dirs, jobs=jobs, **{**given, **fields})


def drive(path: str, free: float, **fields: Any) -> Drive:
    """free: share of its 18 TB."""
    total = 18_000 * GB
    given = {"state": DirState.OK, "free_bytes": int(free * total), "total_bytes": total}
    return Drive(path=path, **{**given, "plots": int((1 - free) * 166), **fields})


def tally(day: int) -> Tally:
    hours = tuple((day * (3 + hour % 5)) // 120 for hour in range(24))
    return Tally(hours_count=hours, day_count=day, day_bytes=day * 108 * GB, week_count=7 * day)


def event(seconds_ago: float, kind: str, host: str, text: str, number: int | None = None) -> Event:
    at = T - timedelta(seconds=seconds_ago)
    return Event(kind=kind, host=host, at=at, text=text, plot_id=plot_id(number) if number else None)


EVENTS = [
    ("1-0", event(900, "plot-started", "p1", "plot started in /mnt/tmp/0, for /mnt/dst/0", 1)),
    ("2-0", event(600, "plot-done", "p1", "plot done in 7h 12m, in /mnt/dst/0", 9)),
    ("3-0", event(300, "archived", "p1", "plot-k32-9.plot is on h1:/mnt/farm/02, verified", 9)),
    ("4-0", event(60, "plot-failed", "p2", "plot failed in /mnt/tmp/1: the disk is full", 12)),
    ("5-0", event(5, "steered", "p2", "p2 starts no more plots: new fan")),
]


def small() -> FarmState:
    """One machine that does everything, all is well."""
    jobs = (
        job(1, "/mnt/tmp/0", "3:2", 71),
        job(2, "/mnt/tmp/0", "1:4", 17),
        job(3, "/mnt/tmp/1", None, None, plot_id=None, eta_s=None, dst=None),
    )
    return FarmState(
        at=T,
        plotters={"p1": plotter("p1", tmp_dir("/mnt/tmp/0"), tmp_dir("/mnt/tmp/1"), jobs=jobs)},
        archivers={"p1": ArchiverSnapshot(host="p1", at=T)},
        harvesters={"p1": HarvesterSnapshot(host="p1", at=T, drives=(drive("/mnt/farm/01", 0.4),))},
        waits=waits(("p1", None, "stagger", "stagger 1623s/1800s")),
        stale=frozenset(),
    )


def sums() -> InventorySums:
    contract = {"pool": PoolKind.CONTRACT, "pool_key": "05" * 32}
    return InventorySums(
        classes=(
            ClassSum(format="v1.0", k=32, compression=0, pool=PoolKind.KEY, pool_key="9c" * 48, plots=812,
                     files=812, bytes=812 * 109 * GB),
            ClassSum(format="bladebit 2", k=32, compression=7, **contract, plots=634, files=634,
                     bytes=634 * 85 * GB),
            ClassSum(format="PoS2 02", k=28, compression=0, strength=2, **contract, plots=1920, files=60,
                     bytes=1900 * GB),
        ),
        faults=2, fault_bytes=31 * GB, duplicates=1, listed=1900, read=1508,
    )  # fmt: skip


def waits(*told: tuple[str, str | None, str, str]) -> Waits:
    return Waits(
        beat="b",
        at=T,
        waits=tuple(Wait(host=host, subject=what, rule=rule, reason=why) for host, what, rule, why in told),
    )


def troubled() -> FarmState:
    """Three machines with nearly all that can be wrong at once."""
    finished = (
        FinishedPlot(path="/mnt/dst/0/plot-k32-21.plot", size_bytes=108 * GB, state=PlotState.READY,
                     since=T, plot_id=plot_id(21)),
        FinishedPlot(path="/mnt/dst/0/plot-k32-22.plot", size_bytes=108 * GB, state=PlotState.READY,
                     since=T, plot_id=plot_id(22)),
        FinishedPlot(path="/mnt/dst/1/plot-k32-23.plot", size_bytes=70 * GB, state=PlotState.REFUSED,
                     since=T, plot_id=plot_id(23), reason="h1 refused it: 12 of 30 proofs fail"),
    )  # fmt: skip
    sending = Transfer(
        path="/mnt/dst/0/plot-k32-21.plot", plot_id=plot_id(21), size_bytes=108 * GB, harvester="h1",
        drive="/mnt/farm/02", started_at=T - timedelta(seconds=300), sent_bytes=66 * GB,
        rate_bytes_s=212_000_000, eta_s=198,
    )  # fmt: skip
    p1 = plotter(
        "p1",
        tmp_dir("/mnt/tmp/0"), tmp_dir("/mnt/tmp/1", free_bytes=90 * GB),
        jobs=(job(1, "/mnt/tmp/0", "4:2", 93), job(2, "/mnt/tmp/0", "2:5", 48),
              job(4, "/mnt/tmp/1", "5:0", 99, stalled="waits for room in /mnt/dst/1"),
              job(5, "/mnt/tmp/1", "3:1", 60, status=RunStatus.STOPPED)),
        plots=finished, tally=tally(31),
    )  # fmt: skip
    p2 = plotter(
        "p2", tmp_dir("/mnt/tmp/0", state=DirState.NOT_MOUNTED, free_bytes=None), tmp_dir("/mnt/tmp/1"),
        jobs=(job(6, "/mnt/tmp/1", "1:1", 3, plotter="madmax", ours=False),),
        plotting=False, pause_reason="new fan", paused=Hold(reason="new fan"), tally=tally(12),
    )  # fmt: skip
    p3 = plotter("p3", tmp_dir("/mnt/tmp/0"), jobs=(job(7, "/mnt/tmp/0", "2:2", 40),),
                 at=T - timedelta(hours=3))  # fmt: skip
    drives = (
        drive(
            "/mnt/farm/01", 0.001, full=True, disk=DiskHealth(names=("sda",), fails=False, temperature_c=38)
        ),
        drive("/mnt/farm/02", 0.35, reserved_bytes=108 * GB, incoming=1),
        drive(
            "/mnt/farm/03",
            0.8,
            use=DriveUse.DRAINING,
            disk=DiskHealth(names=("sdc",), fails=True, temperature_c=52),
        ),
        drive("/mnt/farm/04", 0.5, use=DriveUse.DISABLED, free_bytes=None),
        drive("/mnt/farm/05", 0.5, state=DirState.NOT_MOUNTED, free_bytes=None, total_bytes=None),
    )
    return FarmState(
        at=T,
        plotters={"p1": p1, "p2": p2, "p3": p3},
        archivers={"p1": ArchiverSnapshot(host="p1", at=T, transfers=(sending,), tally=tally(29)),
                   "p2": ArchiverSnapshot(host="p2", at=T)},
        harvesters={"h1": HarvesterSnapshot(host="h1", at=T, drives=drives, inventory=sums(), problems=(
            "the disk of /mnt/farm/03 (sdc, of an unknown model) says that it is about to fail: evacuate it",
        ))},
        waits=waits(
            ("p1", None, "max jobs", "max jobs 4/4"),
            ("p1", "/mnt/tmp/1", "tmp room", "tmp room: needs 256.0 GB, 90.0 GB are free"),
            ("p1", "/mnt/dst/0/plot-k32-22.plot", "moves", "moves 1/1: plot-k32-21.plot is on its way to h1"),
            ("p2", None, "paused", "paused: new fan"),
        ),
        stale=frozenset({(Role.PLOTTER, "p3")}),
    )  # fmt: skip


def large(jobs: int = 500, drives: int = 200, hosts: int = 10) -> FarmState:
    """As many of everything as a big farm has."""
    per_host = jobs // hosts
    plotters = {}
    for host in range(hosts):
        name = f"plotter{host:02}"
        tmps = tuple(tmp_dir(f"/mnt/tmp/{number}") for number in range(5))
        made = tuple(
            job(
                host * per_host + number,
                f"/mnt/tmp/{number % 5}",
                f"{1 + number % 4}:{number % 7}",
                (number * 7) % 100,
            )
            for number in range(per_host)
        )
        plotters[name] = plotter(name, *tmps, jobs=made, global_max_jobs=per_host, tally=tally(20 + host))
    harvesters = {
        f"farmer{host}": HarvesterSnapshot(
            host=f"farmer{host}",
            at=T,
            drives=tuple(
                drive(f"/mnt/farm/{number:03}", (number % 10) / 10) for number in range(drives // 4)
            ),
        )
        for host in range(4)
    }
    archivers = {name: ArchiverSnapshot(host=name, at=T) for name in plotters}
    said = waits(*((name, None, "max jobs", f"max jobs {per_host}/{per_host}") for name in plotters))
    return FarmState(T, plotters, archivers, harvesters, said, frozenset())


@dataclass
class Recorded:
    """A source that shows what the test sets. `error` set: the broker is away."""

    farm: FarmState
    happened: list[tuple[str, Event]] = field(default_factory=lambda: list(EVENTS))
    error: str | None = None
    changed: threading.Event = field(default_factory=threading.Event)

    def read(self) -> FarmState:
        if self.error is not None:
            raise BrokerError(self.error)
        return self.farm

    def events(self, after: str | None, wait_s: float) -> list[tuple[str, Event]]:
        if after is not None:
            self.changed.wait(wait_s)
            self.changed.clear()
        if self.error is not None:
            raise BrokerError(self.error)
        known = 0 if after is None else sum(key <= after for key, _ in self.happened)
        return self.happened[known:]

    def change(self, **fields: Any) -> None:
        """Another state of the farm, shown at once."""
        self.farm = replace(self.farm, **fields)
        self.changed.set()


@dataclass
class Recorder:
    """Stands for the hosts: keeps what it was asked, and answers so. answers: task -> answer, or what does
    it and returns the answer."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[TaskCall] = field(default_factory=list)

    def __call__(self, questions: Sequence[TaskCall], *, timeout_s: float) -> list[Any]:
        self.asked += questions
        answers = [self.answers.get(question.task, PlotmanError("nobody answers")) for question in questions]
        return [answer() if callable(answer) else answer for answer in answers]

    def said(self) -> list[tuple[str, str, dict[str, Any]]]:
        return [(question.task, question.host, dict(question.kwargs)) for question in self.asked]
