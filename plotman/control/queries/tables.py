"""The tables of `status` and `dirs` as rows of plain text, without layout.

The columns are plotman 0.5.3's, and host, percent and ETA. `classic` gives them 0.5.3's names and
units.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, TypeVar

from beat.policy.moves.priority import priorities
from beat.policy.remedies import Harm, harm
from common.model.disk_usage import above_margin, trimmed
from common.model.pending import MoveStep
from common.model.plot_name import PlotName, with_short_parts
from common.model.snapshot import Directory, Job, PlotState, PlotterSnapshot, RunStatus, TmpDir, age_s
from common.model.units import human_bytes, human_bytes_alike, human_duration
from common.names import Role
from plotman.control.farm import FarmState
from plotman.control.queries import evacuations, scheduler_status

T = TypeVar("T")


@dataclass(frozen=True)
class PlainTable:
    """A table of text.

    title: None if it needs none. right: columns that are aligned to the right. spare: columns that a narrow
    terminal leaves out, the first one first. paths: columns with absolute paths. bars: columns with percents,
    which a terminal draws.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str | None = None
    right: frozenset[str] = frozenset()
    spare: tuple[str, ...] = ()
    paths: frozenset[str] = frozenset()
    bars: frozenset[str] = frozenset()

    @classmethod
    def of(cls, rows: Iterable[T], columns: Mapping[str, Callable[[T], str]], **more: Any) -> PlainTable:
        """Make the table of these rows. columns: name -> text of a row's cell. more: further fields."""
        cells = tuple(tuple(cell(row) for cell in columns.values()) for row in rows)
        return cls(tuple(columns), cells, **more)

    def without(self, column: str) -> PlainTable:
        """Return the table without one of its columns."""
        at = self.columns.index(column)
        columns, *rows = (cells[:at] + cells[at + 1 :] for cells in (self.columns, *self.rows))
        return replace(self, columns=columns, rows=tuple(rows))

    def with_column(self, column: str, cells: Sequence[str]) -> PlainTable:
        """Return the table with these cells in a column, one for each row; unchanged if it has no such
        column."""
        if column not in self.columns:
            return self
        at = self.columns.index(column)
        rows = ((*row[:at], cell, *row[at + 1 :]) for row, cell in zip(self.rows, cells, strict=True))
        return replace(self, rows=tuple(rows))

    def shared_folder(self) -> str | None:
        """Return the folder that contains all paths of the table; None: the root, or no paths."""
        cells = [pair for row in self.rows for pair in zip(self.columns, row, strict=True)]
        found = [cell for column, cell in cells if column in self.paths and cell.startswith("/")]
        folders = {path.rpartition("/")[0] or "/" for path in found}
        folder = posixpath.commonpath(folders) if folders else "/"
        return None if folder == "/" else folder

    def below(self, folder: str) -> PlainTable:
        """Return the table with its paths relative to `folder`."""

        def short(column: str, cell: str) -> str:
            return cell.removeprefix(f"{folder}/") if column in self.paths else cell

        rows = (tuple(map(short, self.columns, row)) for row in self.rows)
        return replace(self, rows=tuple(rows))


_JOB_COLUMNS = (
    "plot id", "host", "plotter", "k", "tmp", "dst", "elapsed", "phase", "%", "ETA",
    "tmp size", "pid", "process", "memory", "CPU user", "CPU sys", "I/O wait",
)  # fmt: skip
_JOB_SPARE = (
    "I/O wait", "CPU sys", "CPU user", "memory", "process", "pid", "k", "plotter", "tmp size", "elapsed",
)  # fmt: skip
_JOB_LEFT = frozenset({"plot id", "host", "plotter", "tmp", "dst", "process"})
# Names of plotman 0.5.3, for `--classic`.
_CLASSIC = {
    "elapsed": "wall",
    "process": "stat",
    "memory": "mem",
    "CPU user": "user",
    "CPU sys": "sys",
    "I/O wait": "io",
    "free": "GBfree",
    "reserved": "GBreserved",
    "incoming": "inbnd phases",
    "priority": "pri",
}


def _table(
    columns: tuple[str, ...],
    rows: Iterable[tuple[str, ...]],
    classic: bool,
    left: frozenset[str],
    paths: frozenset[str],
    spare: tuple[str, ...] = (),
) -> PlainTable:
    names = [_CLASSIC.get(column, column) if classic else column for column in columns]
    right = frozenset(name for name, column in zip(names, columns, strict=True) if column not in left)
    spare = tuple(names[columns.index(column)] for column in spare)
    bars = frozenset({"%"}) & {*names}
    return PlainTable(tuple(names), tuple(rows), right=right, spare=spare, paths=paths, bars=bars)


def job_rank(job: Job) -> int:
    """The smaller, the more a running plot needs a hand: it waits without end, is suspended, or neither."""
    return 0 if job.stalled else 1 if job.status is RunStatus.STOPPED else 2


def jobs_table(farm: FarmState, classic: bool = False, urgent_first: bool = False) -> PlainTable:
    """Make the table of running plots.

    Args:
        classic: names and units of plotman 0.5.3.
        urgent_first: plots that need a hand come first; else those that run longest.
    """
    jobs = farm.jobs()
    if urgent_first:
        jobs.sort(key=lambda pair: job_rank(pair[1]))
    rows = [_job_row(farm, host, job) for host, job in jobs]
    made = _table(_JOB_COLUMNS, rows, classic, _JOB_LEFT, frozenset({"tmp", "dst"}), _JOB_SPARE)
    # A plotter that has written nothing yet has no size; none has no memory.
    made = made.with_column(
        "tmp size", human_bytes_alike([job.tmp_used_bytes or None for _, job in jobs], "-")
    )
    memory = "mem" if classic else "memory"
    return made.with_column(memory, human_bytes_alike([job.mem_bytes or None for _, job in jobs]))


def _job_row(farm: FarmState, host: str, job: Job) -> tuple[str, ...]:
    return (
        job.plot_id[:8] if job.plot_id else f"{host}:{job.pid}",
        host,
        job.plotter,
        or_unknown(job.k),
        job.tmp or "?",
        job.dst or "?",
        human_duration(age_s(job.started_at, farm.at)),
        str(job.phase) if job.phase else "?:?",
        f"{job.percent:.0f}" if job.percent is not None else "?",
        human_duration(job.eta_s) if job.eta_s is not None else "?",
        "",  # filled for the whole column: jobs_table
        str(job.pid),
        job.status.value,
        "",
        human_duration(job.user_s),
        human_duration(job.sys_s),
        human_duration(job.iowait_s),
    )


# What happens to a plot while nothing of it is sent.
STEP_WORDS = {
    MoveStep.RESERVE: "reserving",
    MoveStep.TRANSFER: "queued",
    MoveStep.ADMIT: "is checked",
    MoveStep.RELEASE: "delivered",
}


def moves_table(farm: FarmState, classic: bool = False) -> PlainTable:  # noqa: ARG001  0.5.3 has no such table
    """Make the table of plots on their way to a drive."""
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
    right = frozenset({"%", "rate", "ETA"})
    return PlainTable(columns, tuple(rows), "Archiving", right, bars=frozenset({"%"}))


def plots_table(farm: FarmState, classic: bool = False) -> PlainTable:  # noqa: ARG001
    """Make the table of files in dst directories that have a plot's name and are not moved."""
    rows = tuple(
        (host, plot.path, human_bytes(plot.size_bytes), plot.state.value, with_short_parts(plot.reason or ""))
        for host, snapshot in farm.plotters.items()
        for plot in snapshot.plots
        if plot.state is not PlotState.READY
    )
    columns = ("host", "file", "size", "state", "reason")
    return PlainTable(columns, rows, "Left alone", frozenset({"size"}), paths=frozenset({"file"}))


def waits_table(farm: FarmState, classic: bool = False) -> PlainTable:  # noqa: ARG001
    """Make the table of waits; waits of a host as a whole come first. Files that are left alone are in their
    own table."""
    alone = {(host, path) for host, path, *_ in plots_table(farm).rows}
    waits = sorted(scheduler_status.waits(farm), key=lambda wait: (wait.host, wait.subject or ""))
    rows = tuple(
        (wait.host, wait.subject or "", with_short_parts(wait.reason))
        for wait in waits
        if (wait.host, wait.subject) not in alone
    )
    return PlainTable(("host", "what", "waits because"), rows, "Waiting", paths=frozenset({"what"}))


def tmp_table(farm: FarmState, classic: bool = False) -> PlainTable:
    """Make the table of tmp directories."""
    rows = []
    reasons = scheduler_status.WaitReasons(farm)
    for host, snapshot in farm.plotters.items():
        for tmp in snapshot.tmp_dirs:
            steps = phases(job for job in snapshot.jobs if job.tmp == tmp.path)
            word, reason = readiness(farm, snapshot, tmp, reasons)
            ready = "--" if classic and word == "busy" else word
            rows.append((host, tmp.path, ready, "", steps, reason))
    columns = ("host", "tmp", "ready", "free", "phases", "waits because")
    left = frozenset({"host", "tmp", "ready", "phases", "waits because"})
    listed = [(tmp.state.value, tmp.free_bytes) for one in farm.plotters.values() for tmp in one.tmp_dirs]
    return _with_space(_table(columns, rows, classic, left, frozenset({"tmp"})), "free", listed, classic)


def readiness(
    farm: FarmState, snapshot: PlotterSnapshot, tmp: TmpDir, reasons: scheduler_status.WaitReasons
) -> tuple[str, str]:
    """Whether a tmp directory takes a plot now, `OK`, `busy` or `--`, and why not; empty if it does."""
    host = snapshot.host
    stale = (Role.PLOTTER, host) in farm.stale
    silent = f"its plotter is {farm.absence(Role.PLOTTER, host)}" if stale else ""
    if other := drained(snapshot, tmp) or silent:
        return "--", other
    wait = reasons.first(host, None, tmp.path)
    is_busy = wait is not None and harm(wait, len(snapshot.jobs)) is Harm.NONE
    reason = reasons.reason(host, None, tmp.path)
    return "busy" if is_busy else "--" if reason else "OK", reason


def dst_table(farm: FarmState, classic: bool = False) -> PlainTable:
    """Make the table of dst directories; the priority is the one by which beat orders moves."""
    rows = []
    for host, snapshot in farm.plotters.items():
        priority = priorities(snapshot)
        plots = Counter(str(PurePath(plot.path).parent) for plot in snapshot.plots)
        for dst in snapshot.dst_dirs:
            incoming = phases(job for job in snapshot.jobs if job.dst == dst.path)
            shown = str(priority[trimmed(dst.path)])
            rows.append((host, dst.path, str(plots[dst.path]), "", incoming, shown))
    columns = ("host", "dst", "plots", "free", "incoming", "priority")
    made = _table(columns, rows, classic, frozenset({"host", "dst", "incoming"}), frozenset({"dst"}))
    listed = [(dst.state.value, dst.free_bytes) for one in farm.plotters.values() for dst in one.dst_dirs]
    return _with_space(made, "free", listed, classic)


def drives_table(farm: FarmState, classic: bool = False) -> PlainTable:
    """Make the table of harvesters' drives and of folders of 0.5.3's targets, whose plots are not counted."""
    rows = tuple(
        (
            host,
            drive.path,
            "?" if drive.counted_plots is None else str(drive.counted_plots),
            "",
            "",
            farm.absence(Role.HARVESTER, host)
            if (Role.HARVESTER, host) in farm.stale
            else evacuations.word(snapshot, drive, farm.at),
        )
        for host, snapshot in farm.harvesters.items()
        for drive in snapshot.drives
    ) + tuple(
        (host, space.path, "?", "", "", f"target {archiver.target.name}")
        for host, archiver in farm.archivers.items()
        if archiver.target is not None
        for space in archiver.target.spaces
    )
    columns = ("host", "archive dir", "plots", "free", "reserved", "state")
    left = frozenset({"host", "archive dir", "state"})
    made = _table(columns, rows, classic, left, frozenset({"archive dir"}))
    # 0.5.3 showed what df says.
    drives = [
        (drive, 0 if classic else one.margin_bytes)
        for one in farm.harvesters.values()
        for drive in one.drives
    ]
    targets = [archiver.target for archiver in farm.archivers.values() if archiver.target is not None]
    spaces = [space for target in targets for space in target.spaces]
    free = [(drive.word, above_margin(drive.free_bytes, margin_bytes)) for drive, margin_bytes in drives]
    free += [("", space.free_bytes) for space in spaces]
    reserved = [("", drive.reserved_bytes or None) for drive, _ in drives] + [("", None) for _ in spaces]
    return _with_space(_with_space(made, "free", free, classic), "reserved", reserved, classic)


def jobs_per_tmp(snapshots: Iterable[PlotterSnapshot]) -> list[tuple[str, str, int]]:
    """Count jobs as (host, tmp, jobs), for the lines below the table."""
    return [
        (snapshot.host, tmp.path, sum(job.tmp == tmp.path for job in snapshot.jobs))
        for snapshot in snapshots
        for tmp in snapshot.tmp_dirs
    ]


def drained(snapshot: PlotterSnapshot, directory: Directory) -> str:
    """Return `drained: new cable (anna@desk), until 18:00` in the host's local time; empty if not drained."""
    if directory.drained is None:
        return ""
    from common.model.holds import sentence  # late: it imports the messages, and holds are rare

    return sentence("drained", directory.drained, snapshot.at, snapshot.utc_offset_s)


def phases(jobs: Iterable[Job]) -> str:
    return " ".join(map(str, sorted(job.phase for job in jobs if job.phase is not None)))


def _with_space(
    table: PlainTable, column: str, spaces: Sequence[tuple[str, int | None]], classic: bool
) -> PlainTable:
    """Fill a column with bytes in one unit, in classic tables in GB.

    Args:
        spaces: the bytes of each row, and the text in their place if they are None.
    """
    sizes = [size_bytes for _, size_bytes in spaces]
    if classic:
        texts = ["" if size is None else f"{size / 1e9:.1f}" for size in sizes]
    else:
        texts = human_bytes_alike(sizes, "")
    cells = [text or word for text, (word, _) in zip(texts, spaces, strict=True)]
    return table.with_column(_CLASSIC.get(column, column) if classic else column, cells)


def or_unknown(value: object) -> str:
    return "?" if value is None else str(value)
