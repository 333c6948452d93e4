"""Small farms for the tests of the rules. Time zero is `T`; sizes are in GB where a name says so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from beat.policy.decide import decide
from beat.policy.decision import Decision, Move, Start
from beat.policy.memory import Memory
from beat.policy.moves import turns
from beat.policy.moves.same_plot import PlotClaims
from beat.policy.starts.farm_rules import NO_LIMITS, FarmLimits
from common.model.board_state import BoardState
from common.model.pending import MoveStep, PendingMove, PendingOrder
from common.model.phase import Phase
from common.model.snapshot import (
    ArchiverSnapshot,
    Directory,
    DirState,
    Drive,
    FinishedPlot,
    HarvesterSnapshot,
    Job,
    PlotState,
    PlotterSnapshot,
    TmpDir,
    Wait,
)
from tests.support.paper import GB, K32, T


def decided(
    plotters: dict[str, PlotterSnapshot],
    archivers: dict[str, ArchiverSnapshot],
    harvesters: dict[str, HarvesterSnapshot],
    orders: dict[str, list[PendingOrder]],
    moves: dict[str, list[PendingMove]],
    now: datetime,
    limits: FarmLimits = NO_LIMITS,
    memory: Memory | None = None,
    lost: dict[str, PlotterSnapshot] | None = None,
) -> Decision:
    """The decision on a board that shows these, by host."""
    board = BoardState(plotters, archivers, harvesters, orders, moves, lost or {})
    return decide(board, now, limits, memory)


def at(seconds: float) -> datetime:
    """This number of seconds after time zero; before it, where negative."""
    return T + timedelta(seconds=seconds)


def tmp_dir(path: str = "/tmp1", free_gb: float | None = 10_000, **fields: Any) -> TmpDir:
    """Room for everything, one job before 2:1, at most four."""
    free = None if free_gb is None else int(free_gb * GB)
    given = {"max_jobs": 4, "stagger_phase": Phase(2, 1), "stagger_limit": 1, "state": DirState.OK}
    return TmpDir(path=path, free_bytes=free, **{"device": path, **given, **fields})


def directory(path: str, free_gb: float | None = 100_000, **fields: Any) -> Directory:
    free = None if free_gb is None else int(free_gb * GB)
    return Directory(path=path, free_bytes=free, **{"device": path, "state": DirState.OK, **fields})


def job(tmp: str | None = "/tmp1", phase: str | None = "1:1", age_s: float = 86_400, **fields: Any) -> Job:
    """An old job of ours that takes no more bytes."""
    given: dict[str, Any] = {"plotter": "chia", "pid": 1, "ours": True, "proven": True, "dst": "/dst1"}
    return Job(
        started_at=at(-age_s),
        tmp=tmp,
        phase=None if phase is None else Phase.parse(phase),
        **{"task_id": "seen", **given, **fields},
    )


def plotter(*tmp_dirs: TmpDir, jobs: tuple[Job, ...] = (), **fields: Any) -> PlotterSnapshot:
    """A host that may start all that its tmp directories let it."""
    given: dict[str, Any] = {
        "host": "p1",
        "at": T,
        "start_token": "a:7",
        "plotting": True,
        "global_max_jobs": 100,
        "global_stagger_s": 0,
        "recipe": K32,
        "dst_dirs": (directory("/dst1"),),
    }
    return PlotterSnapshot(tmp_dirs=tmp_dirs or (tmp_dir(),), jobs=jobs, **{**given, **fields})


def order(tmp: str = "/tmp1", start_token: str = "a:7", sent_s: float = -1, **fields: Any) -> PendingOrder:
    """An order sent a second ago that is good for half a minute."""
    given = {"task_id": f"order {start_token}", "dst": "/dst1", "expires_at": at(sent_s + 30)}
    return PendingOrder(tmp=tmp, start_token=start_token, sent_at=at(sent_s), **{**given, **fields})


def as_orders(starts: tuple[Start, ...], now: datetime) -> list[PendingOrder]:
    """What stands on the notice board once beat has sent them."""
    return [
        PendingOrder(
            task_id=f"order {start.start_token}",
            start_token=start.start_token,
            tmp=start.tmp,
            dst=start.dst,
            sent_at=now,
            expires_at=now + timedelta(seconds=30),
        )
        for start in starts
    ]


def plot(name: str = "a", folder: str = "/dst1", size_bytes: int = 108 * GB, **fields: Any) -> FinishedPlot:
    given = {"state": PlotState.READY, "since": at(-60)}
    return FinishedPlot(path=f"{folder}/{name}.plot", size_bytes=size_bytes, **{**given, **fields})


def keeper(*plots: FinishedPlot, **fields: Any) -> PlotterSnapshot:
    """A plotter host with finished plots that starts none."""
    return plotter(**{"plots": plots, "archiving": True, "plotting": False, **fields})


def archiver(host: str = "p1", **fields: Any) -> ArchiverSnapshot:
    return ArchiverSnapshot(host=host, at=T, **fields)


def drive(free_gb: float | None = 10_000, path: str = "/farm/1", **fields: Any) -> Drive:
    free = None if free_gb is None else int(free_gb * GB)
    return Drive(path=path, free_bytes=free, **{"state": DirState.OK, **fields})


def farm(**harvesters: list[Drive]) -> dict[str, HarvesterSnapshot]:
    """farm(h1=[drive()]): harvesters by host."""
    return {
        host: HarvesterSnapshot(host=host, at=T, drives=tuple(drives)) for host, drives in harvesters.items()
    }


def move(path: str = "/dst1/a.plot", harvester: str = "h1", **fields: Any) -> PendingMove:
    """A move that waits for its reservation, and that somebody works on."""
    given = {"size_bytes": 108 * GB, "step": MoveStep.RESERVE, "expires_at": at(60)}
    return PendingMove(path=path, harvester=harvester, **{**given, **fields})


def plan_moves(
    snapshot: PlotterSnapshot,
    archiver: ArchiverSnapshot | None,
    moves: Sequence[PendingMove],
    harvesters: dict[str, HarvesterSnapshot],
    now: datetime,
    *,
    at_once: int = 1,
    others: tuple[ArchiverSnapshot, ...] = (),
    their_moves: dict[str, list[PendingMove]] | None = None,
) -> tuple[tuple[Move, ...], tuple[Wait, ...]]:
    """The moves of a farm's only plotter with plots, and its waits. others: archivers of further plotters."""
    alone = snapshot.model_copy(update={"moves_at_once": at_once})
    archivers = {each.host: each for each in (archiver, *others) if each is not None}
    board = BoardState({snapshot.host: alone}, archivers, harvesters)
    records = {snapshot.host: tuple(moves), **(their_moves or {})}
    ordered, waits = turns.plan_moves(board, records, PlotClaims(board, records, now, {}), now)
    return tuple(ordered), waits.get(snapshot.host, ())


def rules(waits: tuple[Wait, ...]) -> list[tuple[str, str | None]]:
    return [(wait.rule, wait.subject) for wait in waits]


def reasons(waits: tuple[Wait, ...]) -> list[str]:
    return [wait.reason for wait in waits]


def sent(
    snapshot: PlotterSnapshot, harvesters: dict[str, HarvesterSnapshot], *moves: PendingMove
) -> list[tuple[str, str]]:
    """(plot, harvester) of the moves that are planned."""
    planned, _ = plan_moves(snapshot, archiver(), moves, harvesters, T)
    return [(each.plot.path, each.harvester) for each in planned]


def against(
    snapshot: PlotterSnapshot, harvesters: dict[str, HarvesterSnapshot], *moves: PendingMove
) -> list[str]:
    """Why nothing is moved."""
    planned, waits = plan_moves(snapshot, archiver(), moves, harvesters, T)
    assert not planned
    return reasons(waits)
