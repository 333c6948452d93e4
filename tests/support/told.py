"""A farm as the notice board has it, for tests of what users and programs are shown."""

from __future__ import annotations

from datetime import timedelta

from common.model.phase import Phase
from common.model.snapshot import (
    ArchiverSnapshot,
    Directory,
    DirState,
    Drive,
    HarvesterSnapshot,
    Job,
    PlotterSnapshot,
    Recipe,
    RunStatus,
    TmpDir,
    Transfer,
    Wait,
    Waits,
)
from common.names import Role
from plotman.control.farm import FarmState
from tests.support.paper import T

PLOT_ID = "6b4e7375" + "0" * 56

JOB = Job(
    task_id="t1",
    plotter="madmax",
    pid=4711,
    started_at=T - timedelta(minutes=83),
    ours=True,
    plot_id=PLOT_ID,
    k=32,
    phase=Phase(2, 3),
    percent=43.4,
    eta_s=5000,
    tmp="/mnt/tmp/00",
    dst="/mnt/dst/00",
    status=RunStatus.RUNNING,
    tmp_used_bytes=120_500_000_000,
    mem_bytes=4_000_000_000,
    user_s=3700,
)
SILENT = Job(task_id="t2", plotter="chia", pid=4712, started_at=T, ours=False)


def tmp_dir(path: str) -> TmpDir:
    return TmpDir(
        path=path,
        state=DirState.OK,
        free_bytes=10**12,
        max_jobs=1,
        stagger_phase=Phase(2, 1),
        stagger_limit=1,
    )


def plotter(**fields: object) -> PlotterSnapshot:
    given: dict[str, object] = {
        "host": "plotter1",
        "at": T,
        "start_token": "a:1",
        "plotting": True,
        "global_max_jobs": 4,
        "global_stagger_s": 1800,
        "recipe": Recipe(plotter="madmax", k=32, tmp_bytes=1, tmp2_bytes=0, dst_bytes=1),
        "tmp_dirs": (tmp_dir("/mnt/tmp/00"), tmp_dir("/mnt/tmp/01")),
        "dst_dirs": (Directory(path="/mnt/dst/00", state=DirState.OK, free_bytes=600 * 10**9),),
        "jobs": (JOB,),
    }
    return PlotterSnapshot.model_validate(given | fields)


def farm(
    snapshot: PlotterSnapshot, waits: tuple[Wait, ...] = (), stale: frozenset[tuple[Role, str]] = frozenset()
) -> FarmState:
    transfer = Transfer(
        path="/mnt/dst/00/x.plot",
        plot_id=PLOT_ID,
        size_bytes=108 * 10**9,
        sent_bytes=54 * 10**9,
        rate_bytes_s=181e6,
        eta_s=298,
        harvester="harvester1",
        drive="/mnt/farm/07",
        started_at=T,
    )
    drives = (
        Drive(
            path="/mnt/farm/07",
            state=DirState.OK,
            free_bytes=2 * 10**12,
            plots=12,
            reserved_bytes=108 * 10**9,
        ),
        Drive(path="/mnt/farm/08", state=DirState.NOT_MOUNTED),
    )
    return FarmState(
        at=T,
        plotters={snapshot.host: snapshot},
        archivers={snapshot.host: ArchiverSnapshot(host=snapshot.host, at=T, transfers=(transfer,))},
        harvesters={"harvester1": HarvesterSnapshot(host="harvester1", at=T, drives=drives)},
        waits=Waits(beat="b", at=T, waits=waits),
        stale=stale,
    )
