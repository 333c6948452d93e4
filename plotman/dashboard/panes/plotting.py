"""Panes of running plots, tmp and dst directories. Pure."""

from __future__ import annotations

from common.model.holds import sentence
from common.model.snapshot import Job, RunStatus, age_s
from common.model.units import human_bytes, human_duration
from common.names import Role
from plotman.control.farm import FarmState
from plotman.control.queries import tables
from plotman.control.queries.scheduler_status import WaitReasons
from plotman.dashboard.model import Cell, CellLevel, Column, Row, RowKind, RowSubject, Table
from plotman.dashboard.panes.cells import duration, free_space, number, percent, rank, state_level

_JOB_COLUMNS = (
    Column("plot id"),
    Column("host", spare=2),
    Column("plotter", spare=9),
    Column("k", right=True, spare=8),
    Column("tmp", spare=1, path=True),
    Column("dst", spare=3, path=True),
    Column("wall", right=True, spare=4),
    Column("phase", right=True),
    Column("%", right=True, bar=True),
    Column("ETA", right=True),
    Column("tmp size", right=True, spare=7),
    Column("pid", right=True, spare=11),
    Column("stat", spare=5),
    Column("mem", right=True, spare=10),
    Column("user", right=True, spare=12),
    Column("sys", right=True, spare=13),
    Column("io", right=True, spare=14),
    Column("note", stretch=True, spare=6),
)


def plots(farm: FarmState) -> Table:
    rows = tuple(_job_row(farm, host, job) for host, job in farm.jobs())
    return Table("plots", "Plots", _JOB_COLUMNS, rows, "no running plots")


def _job_row(farm: FarmState, host: str, job: Job) -> Row:
    wall_s = age_s(job.started_at, farm.at)
    note = _job_note(farm, host, job)
    cells = (
        Cell(job.plot_id[:8] if job.plot_id else "--------"),
        Cell(host),
        Cell(job.plotter),
        number(job.k),
        Cell(job.tmp or "?"),
        Cell(job.dst or "?"),
        Cell(human_duration(wall_s), wall_s),
        Cell(str(job.phase) if job.phase else "?:?", rank(job.phase)),
        percent(job.percent),
        duration(job.eta_s),
        Cell(human_bytes(job.tmp_used_bytes), job.tmp_used_bytes),
        Cell(str(job.pid), job.pid),
        Cell("" if job.status is RunStatus.OTHER else job.status.value),
        Cell(human_bytes(job.mem_bytes), job.mem_bytes) if job.mem_bytes else Cell("?"),
        Cell(human_duration(job.user_s), job.user_s),
        Cell(human_duration(job.sys_s), job.sys_s),
        Cell(human_duration(job.iowait_s), job.iowait_s),
        Cell(note),
    )
    level = CellLevel.PLAIN
    if job.stalled or (Role.PLOTTER, host) in farm.stale:
        level = CellLevel.BAD
    elif job.status is RunStatus.STOPPED:
        level = CellLevel.NOTICE
    return Row(RowSubject(RowKind.JOB, host, job.task_id), cells, level)


def _job_note(farm: FarmState, host: str, job: Job) -> str:
    notes = []
    if (Role.PLOTTER, host) in farm.stale:
        notes.append("host is silent")
    if job.stalled:
        notes.append(f"stalled: {job.stalled}")
    if job.status is RunStatus.STOPPED:
        notes.append("suspended")
    if not job.ours:
        notes.append("not plotman's")
    return "; ".join(notes)


_TMP_COLUMNS = (
    Column("host", spare=2),
    Column("tmp", path=True),
    Column("ready"),
    Column("free", right=True, spare=3),
    Column("jobs", right=True, spare=4),
    Column("phases", spare=5),
    Column("waits because", stretch=True, spare=1),
)


def tmps(farm: FarmState, reasons: WaitReasons) -> Table:
    rows = []
    for host, snapshot in farm.plotters.items():
        for tmp in snapshot.tmp_dirs:
            jobs = [job for job in snapshot.jobs if job.tmp == tmp.path]
            reason = tables.drained(snapshot, tmp) or reasons.reason(host, None, tmp.path)
            cells = (
                Cell(host),
                Cell(tmp.path),
                Cell("--" if reason else "OK"),
                free_space(tmp.state, tmp.free_bytes),
                Cell(f"{len(jobs)}/{tmp.max_jobs}", len(jobs)),
                Cell(tables.phases(jobs)),
                Cell(reason),
            )
            rows.append(Row(RowSubject(RowKind.TMP, host, tmp.path), cells, state_level(tmp.state)))
    return Table("tmp", "Tmp", _TMP_COLUMNS, tuple(rows), "no tmp directories")


_DST_COLUMNS = (
    Column("host", spare=2),
    Column("dst", path=True, stretch=True),
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
        cells = (
            Cell(host),
            Cell(path),
            number(int(count)),
            free_space(dst.state, dst.free_bytes),
            Cell(inbound),
            Cell(priority, int(priority)),
            Cell(sentence("drained", dst.drained, farm.at) if dst.drained else ""),
        )
        rows.append(Row(RowSubject(RowKind.DST, host, path), cells, state_level(dst.state)))
    return Table("dst", "Dst", _DST_COLUMNS, tuple(rows), "no dst directories")
