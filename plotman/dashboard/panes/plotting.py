"""Panes of running plots, tmp and dst directories. Pure."""

from __future__ import annotations

from collections.abc import Callable

from common.model.holds import sentence
from common.model.snapshot import Job, PlotterSnapshot, RunStatus, TmpDir, age_s
from common.names import Role
from plotman.control.farm import FarmState
from plotman.control.queries import tables
from plotman.control.queries.scheduler_status import WaitReasons
from plotman.dashboard.model import Cell, CellLevel, Column, Row, RowKind, RowSubject, Table
from plotman.dashboard.panes import cells

_JOB: dict[Column, Callable[[FarmState, str, Job], Cell]] = {
    Column("plot id", tone="id"): lambda _, __, job: Cell(job.plot_id[:8] if job.plot_id else "--------"),
    Column("host", spare=2): lambda _, host, __: Cell(host),
    Column("plotter", spare=9): lambda _, __, job: Cell(job.plotter),
    Column("k", right=True, spare=8): lambda _, __, job: cells.number(job.k),
    Column("tmp", spare=1, path=True): lambda _, __, job: Cell(job.tmp or "?"),
    Column("dst", spare=3, path=True): lambda _, __, job: Cell(job.dst or "?"),
    Column("wall", right=True, spare=4, tone="dim"): lambda farm, _, job: cells.duration(
        age_s(job.started_at, farm.at)
    ),
    Column("phase", right=True): lambda _, __, job: cells.phase(job.phase),
    Column("%", right=True, bar=True): lambda _, __, job: cells.percent(job.percent),
    Column("ETA", right=True): lambda _, __, job: cells.duration(job.eta_s),
    Column("tmp size", right=True, spare=7): lambda _, __, job: cells.size(job.tmp_used_bytes),
    Column("pid", right=True, spare=11, tone="dim"): lambda _, __, job: cells.number(job.pid),
    Column("stat", spare=5): lambda _, __, job: Cell(
        "" if job.status is RunStatus.OTHER else job.status.value
    ),
    Column("mem", right=True, spare=10, tone="dim"): lambda _, __, job: cells.size(job.mem_bytes or None),
    Column("user", right=True, spare=12, tone="dim"): lambda _, __, job: cells.duration(job.user_s),
    Column("sys", right=True, spare=13, tone="dim"): lambda _, __, job: cells.duration(job.sys_s),
    Column("io", right=True, spare=14, tone="dim"): lambda _, __, job: cells.duration(job.iowait_s),
    Column("note", stretch=True, spare=6): lambda farm, host, job: Cell(_job_note(farm, host, job)),
}


def plots(farm: FarmState) -> Table:
    rows = []
    for host, job in farm.jobs():
        level = CellLevel.NOTICE if job.status is RunStatus.STOPPED else CellLevel.PLAIN
        if job.stalled or (Role.PLOTTER, host) in farm.stale:
            level = CellLevel.BAD
        subject = RowSubject(RowKind.JOB, host, job.task_id)
        rows.append(cells.row(subject, _JOB, level, farm, host, job))
    return Table("plots", "Plots", tuple(_JOB), tuple(rows), "no running plots")


def _job_note(farm: FarmState, host: str, job: Job) -> str:
    notes = []
    if (Role.PLOTTER, host) in farm.stale:
        notes.append(f"host is {farm.absence(Role.PLOTTER, host)}")
    if job.stalled:
        notes.append(f"stalled: {job.stalled}")
    if job.status is RunStatus.STOPPED:
        notes.append("suspended")
    if not job.ours:
        notes.append("not plotman's")
    return "; ".join(notes)


_TMP: dict[Column, Callable[[PlotterSnapshot, TmpDir, str, str], Cell]] = {
    Column("host", spare=2): lambda plotter, *_: Cell(plotter.host),
    Column("tmp", path=True, tone="id"): lambda _, tmp, *__: Cell(tmp.path),
    Column("ready"): lambda _, __, ready, ___: Cell(ready),
    Column("free", right=True, spare=3): lambda _, tmp, *__: cells.free_space(tmp),
    Column("jobs", right=True, spare=4): lambda plotter, tmp, *_: Cell(
        f"{len(_jobs_in(plotter, tmp))}/{tmp.max_jobs}", len(_jobs_in(plotter, tmp))
    ),
    Column("phases", spare=5): lambda plotter, tmp, *_: Cell(tables.phases(_jobs_in(plotter, tmp))),
    Column("waits because", stretch=True, reason=True): lambda _, __, ___, reason: Cell(reason),
}


def tmps(farm: FarmState, reasons: WaitReasons) -> Table:
    rows = []
    for host, snapshot in farm.plotters.items():
        for tmp in snapshot.tmp_dirs:
            ready, reason = tables.readiness(farm, snapshot, tmp, reasons)
            subject, level = RowSubject(RowKind.TMP, host, tmp.path), cells.state_level(tmp.state)
            rows.append(cells.row(subject, _TMP, level, snapshot, tmp, ready, reason))
    return Table("tmp", "Tmp directories", tuple(_TMP), tuple(rows), "no tmp directories")


def _jobs_in(plotter: PlotterSnapshot, tmp: TmpDir) -> list[Job]:
    return [job for job in plotter.jobs if job.tmp == tmp.path]


_DST_COLUMNS = (
    Column("host", spare=2),
    Column("dst", path=True, stretch=True, tone="id"),
    Column("plots", right=True),
    Column("free", right=True),
    Column("incoming", spare=3),
    Column("priority", right=True, spare=1),
    Column("note", spare=2),
)


def dsts(farm: FarmState) -> Table:
    # The table of `dirs` has one row for each directory, in the same order.
    directories = [(host, dst) for host, snapshot in farm.plotters.items() for dst in snapshot.dst_dirs]
    rows = []
    for (host, dst), (_, path, count, _, inbound, priority) in zip(
        directories, tables.dst_table(farm).rows, strict=True
    ):
        shown = (
            Cell(host),
            Cell(path),
            cells.number(int(count)),
            cells.free_space(dst),
            Cell(inbound),
            Cell(priority, int(priority)),
            Cell(sentence("drained", dst.drained, farm.at) if dst.drained else ""),
        )
        rows.append(Row(RowSubject(RowKind.DST, host, path), shown, cells.state_level(dst.state)))
    return Table("dst", "Dst directories", _DST_COLUMNS, tuple(rows), "no dst directories")
