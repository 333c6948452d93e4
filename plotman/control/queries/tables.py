"""The tables of `status` and `dirs` as rows of plain values; how they are drawn is the front end's.

Columns and their names are those of plotman 0.5.3, with host, percent and ETA beside.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePath

from beat.policy.moves.priority import archive_priority
from common.model.pending import MoveStep
from common.model.plot_name import PlotName
from common.model.snapshot import Directory, DirState, Job, PlotState, PlotterSnapshot, Wait, age_s
from common.model.units import human_bytes, human_duration
from plotman.control.farm import FarmState
from plotman.control.queries import scheduler_status


@dataclass(frozen=True)
class PlainTable:
    """title: None where the table speaks for itself. right: columns that are aligned to the right.
    spare: columns that may go where the terminal is too narrow, the first one first.
    paths: columns that hold absolute paths.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str | None = None
    right: frozenset[str] = frozenset()
    spare: tuple[str, ...] = ()
    paths: frozenset[str] = frozenset()

    def shared_folder(self) -> str | None:
        """The folder that all paths of the table are in; None where that is the root, or there are none."""
        found = [cell for row in self.rows for cell in self._cells(row) if cell.startswith("/")]
        folder = posixpath.commonpath([posixpath.dirname(path) for path in found]) if found else "/"
        return None if folder == "/" else folder

    def below(self, folder: str) -> PlainTable:
        """The same table with its paths relative to `folder`."""

        def short(column: str, cell: str) -> str:
            inside = column in self.paths and cell.startswith(f"{folder}/")
            return posixpath.relpath(cell, folder) if inside else cell

        rows = (tuple(map(short, self.columns, row)) for row in self.rows)
        return replace(self, rows=tuple(rows))

    def _cells(self, row: tuple[str, ...]) -> list[str]:
        return [cell for column, cell in zip(self.columns, row, strict=True) if column in self.paths]


_JOB_COLUMNS = (
    "plot id", "host", "plotter", "k", "tmp", "dst", "wall", "phase", "%", "ETA",
    "tmp size", "pid", "stat", "mem", "user", "sys", "io",
)  # fmt: skip
_RIGHT = frozenset({"wall", "phase", "%", "ETA", "tmp size", "pid", "mem", "user", "sys", "io", "k"})


def jobs_table(farm: FarmState) -> PlainTable:
    rows = tuple(_job_row(farm, host, job) for host, job in farm.jobs())
    spare = ("io", "sys", "user", "mem", "stat", "pid", "k", "plotter", "tmp size", "wall")
    return PlainTable(_JOB_COLUMNS, rows, right=_RIGHT, spare=spare, paths=frozenset({"tmp", "dst"}))


def _job_row(farm: FarmState, host: str, job: Job) -> tuple[str, ...]:
    return (
        job.plot_id[:8] if job.plot_id else "--------",
        host,
        job.plotter,
        _or_unknown(job.k),
        job.tmp or "?",
        job.dst or "?",
        human_duration(age_s(job.started_at, farm.at)),
        str(job.phase) if job.phase else "?:?",
        f"{job.percent:.0f}" if job.percent is not None else "?",
        human_duration(job.eta_s) if job.eta_s is not None else "?",
        human_bytes(job.tmp_used_bytes),
        str(job.pid),
        job.status.value,
        human_bytes(job.mem_bytes),
        human_duration(job.user_s),
        human_duration(job.sys_s),
        human_duration(job.iowait_s),
    )


# What is done with a plot on its way while nothing of it is sent.
STEP_WORDS = {
    MoveStep.RESERVE: "gets room",
    MoveStep.TRANSFER: "to be sent",
    MoveStep.ADMIT: "is checked",
    MoveStep.RELEASE: "is there",
}


def moves_table(farm: FarmState) -> PlainTable:
    """Plots on their way to a drive."""
    rows = []
    sent = set()
    for host, archiver in farm.archivers.items():
        for transfer in archiver.transfers:
            sent.add((host, transfer.path))
            share = transfer.sent_bytes / transfer.size_bytes if transfer.size_bytes else 0
            rows.append(
                (
                    transfer.plot_id[:8] if transfer.plot_id else PurePath(transfer.path).name,
                    host,
                    f"{'compared with ' if transfer.compares else ''}{transfer.harvester}:{transfer.drive}",
                    f"{100 * share:.0f}",
                    f"{human_bytes(transfer.rate_bytes_s)}/s" if transfer.rate_bytes_s else "?",
                    human_duration(transfer.eta_s) if transfer.eta_s is not None else "?",
                )
            )
    for (host, path), move in farm.moves.items():
        if (host, path) not in sent:
            name = PlotName.parse(PurePath(path).name)
            shown = name.plot_id[:8] if name else PurePath(path).name
            rows.append((shown, host, move.harvester, "", move.doing or STEP_WORDS[move.step], ""))
    columns = ("plot id", "host", "to", "%", "rate", "ETA")
    return PlainTable(columns, tuple(rows), "Archiving", frozenset({"%", "rate", "ETA"}))


def plots_table(farm: FarmState) -> PlainTable:
    """Files in dst directories that carry a plot's name and are not archived as they are."""
    rows = tuple(
        (host, plot.path, human_bytes(plot.size_bytes), plot.state.value, plot.reason or "")
        for host, snapshot in farm.plotters.items()
        for plot in snapshot.plots
        if plot.state is not PlotState.READY
    )
    columns = ("host", "file", "size", "is", "because")
    return PlainTable(columns, rows, "Left alone", frozenset({"size"}), paths=frozenset({"file"}))


def waits_table(farm: FarmState) -> PlainTable:
    """What waits, and why; the host's own reasons first."""
    waits = sorted(scheduler_status.waits(farm), key=lambda wait: (wait.host, wait.subject or ""))
    rows = tuple((wait.host, wait.subject or "", wait.reason) for wait in waits)
    return PlainTable(("host", "what", "waits because"), rows, "Waiting", paths=frozenset({"what"}))


def tmp_table(farm: FarmState) -> PlainTable:
    rows = []
    idle = scheduler_status.NOBODY if scheduler_status.nobody_decides(farm) else ""
    for host, snapshot in farm.plotters.items():
        waits = _waits_of(farm, host)
        for tmp in snapshot.tmp_dirs:
            phases = _phases(job for job in snapshot.jobs if job.tmp == tmp.path)
            reason = drained(snapshot, tmp) or idle or _first_reason(waits, None, tmp.path)
            rows.append(
                (host, tmp.path, "--" if reason else "OK", _room(tmp.state, tmp.free_bytes), phases, reason)
            )
    return PlainTable(
        ("host", "tmp", "ready", "GBfree", "phases", "waits because"),
        tuple(rows),
        right=frozenset({"GBfree"}),
        paths=frozenset({"tmp"}),
    )


def dst_table(farm: FarmState) -> PlainTable:
    rows = []
    for host, snapshot in farm.plotters.items():
        for dst in snapshot.dst_dirs:
            plots = [plot for plot in snapshot.plots if str(PurePath(plot.path).parent) == dst.path]
            inbound = [job for job in snapshot.jobs if job.dst == dst.path]
            phase = max((job.phase for job in inbound if job.phase), default=None)
            furthest = (phase.major, phase.minor) if phase else None
            priority = archive_priority(dst.free_bytes, furthest, len(plots))
            room = _room(dst.state, dst.free_bytes)
            rows.append((host, dst.path, str(len(plots)), room, _phases(inbound), str(priority)))
    columns = ("host", "dst", "plots", "GBfree", "inbnd phases", "pri")
    right = frozenset({"plots", "GBfree", "pri"})
    return PlainTable(columns, tuple(rows), right=right, paths=frozenset({"dst"}))


def drives_table(farm: FarmState) -> PlainTable:
    """Drives of the harvesters, and folders of the archiving targets of 0.5.3, whose plots nobody counts."""
    rows = tuple(
        (
            host,
            drive.path,
            str(drive.plots),
            f"{drive.free_bytes / 1e9:.1f}" if drive.free_bytes is not None else drive.word,
            f"{drive.reserved_bytes / 1e9:.1f}",
            drive.word,
        )
        for host, snapshot in farm.harvesters.items()
        for drive in snapshot.drives
    ) + tuple(
        (host, space.path, "?", f"{space.free_bytes / 1e9:.0f}", "", f"of target {archiver.target.name}")
        for host, archiver in farm.archivers.items()
        if archiver.target is not None
        for space in archiver.target.spaces
    )
    columns = ("host", "archive dir", "plots", "GBfree", "GBreserved", "state")
    right = frozenset({"plots", "GBfree", "GBreserved"})
    return PlainTable(columns, rows, right=right, paths=frozenset({"archive dir"}))


def jobs_per_tmp(snapshots: Iterable[PlotterSnapshot]) -> list[tuple[str, str, int]]:
    """(host, tmp, jobs), for the lines below the table."""
    return [
        (snapshot.host, tmp.path, sum(job.tmp == tmp.path for job in snapshot.jobs))
        for snapshot in snapshots
        for tmp in snapshot.tmp_dirs
    ]


def drained(snapshot: PlotterSnapshot, directory: Directory) -> str:
    """`drained: new cable (anna@desk), until 18:00` by the host's clock; empty where it is not."""
    if directory.drained is None:
        return ""
    from common.model.holds import sentence  # late: it brings the messages along, and seldom is anything held

    return sentence("drained", directory.drained, snapshot.at, snapshot.utc_offset_s)


def _waits_of(farm: FarmState, host: str) -> list[Wait]:
    return [wait for wait in scheduler_status.waits(farm) if wait.host == host]


def _first_reason(waits: list[Wait], *subjects: str | None) -> str:
    return next((wait.reason for wait in waits if wait.subject in subjects), "")


def _phases(jobs: Iterable[Job]) -> str:
    known = sorted(job.phase for job in jobs if job.phase is not None)
    return " ".join(map(str, known))


def _room(state: DirState, free_bytes: int | None) -> str:
    return f"{free_bytes / 1e9:.1f}" if free_bytes is not None else state.value


def _or_unknown(value: object) -> str:
    return "?" if value is None else str(value)
