"""A farm on paper in which everything happens at once: each kind of metric and note has something to show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from common.model.pending import MoveStep, PendingMove, PendingOrder
from common.model.phase import Phase
from common.model.plot_class import ClassSum, InventorySums, PoolKind
from common.model.snapshot import (
    ArchiverSnapshot,
    Directory,
    DirState,
    DiskHealth,
    Drive,
    Event,
    Failures,
    FinishedPlot,
    HarvesterSnapshot,
    Job,
    PlotState,
    PlotterSnapshot,
    RunStatus,
    TargetReport,
    TargetSpace,
    TmpDir,
    Transfer,
    Wait,
    Waits,
)
from common.names import Role
from common.store import Board
from tests.support.paper import GB, K32

ID = "6b4e7375" * 8


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def job(**changes: Any) -> Job:
    given: dict[str, Any] = {
        "task_id": "t1",
        "plotter": "chia",
        "pid": 4242,
        "started_at": ago(3600),
        "ours": True,
        "plot_id": ID,
        "k": 32,
        "phase": Phase(2, 1),
        "percent": 50.0,
        "eta_s": 3600.0,
        "tmp": "/mnt/tmp/1",
        "dst": "/mnt/dst",
        "status": RunStatus.RUNNING,
        "tmp_used_bytes": 150 * GB,
        "mem_bytes": 4 * GB,
        "user_s": 3000.0,
        "sys_s": 100.0,
        "iowait_s": 20.0,
    }
    return Job(**given | changes)


def plotter(host: str = "plotter1", **changes: Any) -> PlotterSnapshot:
    room: dict[str, Any] = {"state": DirState.OK, "free_bytes": 900 * GB, "total_bytes": 2000 * GB}
    limits: dict[str, Any] = {"max_jobs": 2, "stagger_phase": Phase(2, 1), "stagger_limit": 1}
    given: dict[str, Any] = {
        "host": host,
        "at": ago(1),
        "start_token": "a:1",
        "plotting": True,
        "global_max_jobs": 4,
        "global_stagger_s": 0,
        "recipe": K32,
        "last_start_at": ago(3600),
        "tmp_dirs": (
            TmpDir(path="/mnt/tmp/1", **room, **limits),
            TmpDir(path="/mnt/tmp/2", **room, **limits),
        ),
        "dst_dirs": (Directory(path="/mnt/dst", **room),),
        "jobs": (job(), job(task_id="t2", pid=43, plot_id=None, phase=None, percent=None, stalled="waits")),
        "plots": (
            FinishedPlot(path="/mnt/dst/a.plot", size_bytes=108 * GB, state=PlotState.READY, since=ago(600)),
        ),
        "archiving": True,
        "failures": Failures(consecutive=1),
    }
    return PlotterSnapshot(**given | changes)


def archiver(host: str = "plotter1") -> ArchiverSnapshot:
    sending = Transfer(
        path="/mnt/dst/a.plot",
        plot_id=ID,
        size_bytes=108 * GB,
        harvester="harvester1",
        drive="/farm/1",
        started_at=ago(60),
        sent_bytes=10 * GB,
        rate_bytes_s=1e8,
    )
    nas = TargetReport(name="nas", place="nas", spaces=(TargetSpace(path="/nas/1", free_bytes=500 * GB),))
    return ArchiverSnapshot(
        host=host, at=ago(1), transfers=(sending,), bandwidth_bytes_s=10**8, target=nas, problems=("x",)
    )


def drive(path: str = "/farm/1", **changes: Any) -> Drive:
    given: dict[str, Any] = {
        "state": DirState.OK,
        "free_bytes": 4000 * GB,
        "total_bytes": 16_000 * GB,
        "plots": 100,
        "reserved_bytes": 108 * GB,
        "incoming": 1,
    }
    return Drive(path=path, **given | changes)


def harvester(*drives: Drive, host: str = "harvester1") -> HarvesterSnapshot:
    unmounted = Drive(path="/farm/2", state=DirState.NOT_MOUNTED)
    contract = {"pool": PoolKind.CONTRACT, "pool_key": "05" * 32}
    c7 = ClassSum(format="bladebit 2", k=32, compression=7, **contract, plots=3, files=3, bytes=250 * GB)
    sums = InventorySums(
        classes=(c7,),
        others=ClassSum(format="others", plots=1, files=1),
        faults=2,
        duplicates=1,
        listed=9,
        read=6,
    )
    disk = DiskHealth(names=("sda",), fails=False, temperature_c=38, powered_on_h=20_000)
    drives = drives or (drive(disk=disk), unmounted)
    return HarvesterSnapshot(host=host, at=ago(1), drives=drives, inventory=sums)


def put_up(board: Board) -> None:
    """All of it onto a real notice board."""
    board.put_snapshot(Role.PLOTTER, plotter())
    board.put_snapshot(Role.ARCHIVER, archiver())
    board.put_snapshot(Role.HARVESTER, harvester())
    order = PendingOrder(
        task_id="t3", start_token="a:2", tmp="/mnt/tmp/2", dst=None, sent_at=ago(0), expires_at=ago(-30)
    )
    board.put_order("plotter1", order)
    move = PendingMove(
        path="/mnt/dst/a.plot",
        harvester="harvester1",
        size_bytes=108 * GB,
        step=MoveStep.TRANSFER,
        expires_at=ago(-60),
        attempts=1,
    )
    board.put_move("plotter1", move)
    wait = Wait(host="plotter1", rule="stagger", reason="stagger 1623s/1800s")
    board.put_waits(Waits(beat="b", at=ago(1), waits=(wait, wait)))
    board.lease("b").take()
    for kind, host, size in (
        ("plot-done", "plotter1", None),
        ("plot-failed", "plotter1", None),
        ("archived", "harvester1", 108 * GB),
    ):
        board.tell(Event(kind=kind, host=host, at=ago(0), text=kind, plot_id=ID, size_bytes=size))
