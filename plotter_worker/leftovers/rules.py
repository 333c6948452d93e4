"""Which files in a plotter host's directories are leftovers. Pure: decided by listing, processes and time.

A leftover has the name of a plotter's scratch file, and no process can need it. In doubt a file is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from common.model.units import human_duration
from plotter_worker.plotters.registry import known

# Least time since the last change of any file of a plot.
QUIET_S = 300.0
# The clock may be set while a plotter runs, so a file changed this long before its start may be its own.
_CLOCK_S = 600.0

# chia, madMAx, bladebit and Gigahorse put the plot's id into these names, and end them in `.tmp`. xchplot2
# ends them in `.partial` or `.partial.XXXXXX`; it never reads one again, not even to resume a job.
_NAMED = re.compile(
    r"plot-(?:[0-9A-Za-z]+-)+([0-9a-f]{64})\.(?:(?:.+\.)?tmp|(?:gplot|plot2)\.partial(?:\.\w{6})?)\Z",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Scratch:
    """What a scratch file's name says. plot_id: None for bladebit and Gigahorse, whose names carry none;
    program: then the plotter with such names."""

    plot_id: str | None
    program: str | None = None


@dataclass(frozen=True, slots=True)
class File:
    """A regular file in one of the host's directories.

    folder: as configured. directory_id: the same for every path to the directory ("device:inode").
    allocated_bytes: on the drive. owner: name of the user, or the number.
    network: type of the file system if other machines may write there, too; None: local.
    open: whether any process has it open; None: unknown.
    whole: it is a complete plot under a temporary name.
    """

    folder: str
    directory_id: str
    name: str
    inode: int
    size_bytes: int
    allocated_bytes: int
    mtime_ns: int
    uid: int
    owner: str
    network: str | None = None
    open: bool | None = None
    whole: bool = False

    @property
    def path(self) -> str:
        return f"{self.folder.rstrip('/')}/{self.name}"

    @property
    def mtime_s(self) -> float:
        return self.mtime_ns / 1e9


@dataclass(frozen=True, slots=True)
class LivePlotter:
    """A plotter process, running or suspended, of plotman or not.

    plot_ids: known plots of this process. only_these: it makes no others.
    directory_ids: the directories that it uses; None: not all are known.
    """

    pid: int
    plotter: str
    user: str
    started_at_s: float
    plot_ids: frozenset[str] = frozenset()
    only_these: bool = False
    directory_ids: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What runs on the machine.

    open_names: names of scratch files that processes have open, as far as they are visible.
    visible_uid: None: all processes are visible; else only the processes of this user are.
    """

    plotters: tuple[LivePlotter, ...] = ()
    open_names: frozenset[str] = frozenset()
    visible_uid: int | None = None


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A scratch file that is kept, and why."""

    file: File
    reason: str


def scratch_of(name: str) -> Scratch | None:
    """Parse a scratch file's name; None for any other name, such as a finished plot's."""
    if match := _NAMED.match(name):
        return Scratch(match[1])
    for plotter in known():
        if plotter.own_files((name,), None).by_directory:
            return Scratch(None, plotter.name)
    return None


def sort(
    files: Iterable[File], evidence: Evidence, now_s: float, quiet_s: float = QUIET_S
) -> tuple[list[File], list[KeptFile]]:
    """Divide files into leftovers and kept scratch files. Other files are in neither list.

    Args:
        files: Of all directories, since a plot may use several.
        evidence: What runs, gathered before the listing.
        now_s: Seconds since the epoch.
        quiet_s: Least seconds since the last change of any file of the same plot.
    """
    named = [(file, scratch) for file in files if (scratch := scratch_of(file.name)) is not None]
    changed_s: dict[object, float] = {}
    busy: set[object] = set()
    for file, scratch in named:
        group = _group(file, scratch)
        changed_s[group] = max(changed_s.get(group, 0.0), file.mtime_s)
        if file.open or file.name in evidence.open_names:
            busy.add(group)
    leftovers: list[File] = []
    kept: list[KeptFile] = []
    for file, scratch in named:
        group = _group(file, scratch)
        reason = (
            _needed_by(file, scratch, evidence)
            or ("a process has a file of this plot open" if group in busy else None)
            or _recently_changed(now_s - changed_s[group], quiet_s)
            or _beyond_evidence(file, evidence)
        )
        if reason is None:
            leftovers.append(file)
        else:
            kept.append(KeptFile(file, reason))
    return leftovers, kept


def _group(file: File, scratch: Scratch) -> object:
    """Key of the files that are kept or deleted together: all of a plot, or in one directory all of a program
    that carry no plot id."""
    return scratch.plot_id or (scratch.program, file.directory_id)


def _needed_by(file: File, scratch: Scratch, evidence: Evidence) -> str | None:
    for live in evidence.plotters:
        who = f"{live.plotter} pid {live.pid} of {live.user}"
        here = live.directory_ids is None or file.directory_id in live.directory_ids
        if scratch.plot_id is None:
            if live.plotter == scratch.program and here:
                return f"{who} may use it: its name has no plot id"
        elif scratch.plot_id in live.plot_ids:
            return f"it belongs to the plot of {who}"
        elif not live.only_these and here and file.mtime_s >= live.started_at_s - _CLOCK_S:
            return f"it may belong to {who}, whose plot is unknown"
    return None


def _recently_changed(quiet_for_s: float, quiet_s: float) -> str | None:
    if quiet_for_s >= quiet_s:
        return None
    return f"its plot was changed {human_duration(quiet_for_s)} ago, less than {human_duration(quiet_s)}"


def _beyond_evidence(file: File, evidence: Evidence) -> str | None:
    if file.whole:
        name = file.name.partition(".partial")[0].removesuffix(".tmp").removesuffix(".2")
        return f"it is a complete plot under a temporary name: rename it to {name}, or delete it yourself"
    if file.network is not None:
        return f"it is on a network drive ({file.network}): another machine may be writing it"
    if evidence.visible_uid is not None and file.uid != evidence.visible_uid:
        return f"it belongs to {file.owner}, whose processes are not visible to plotman"
    return None
