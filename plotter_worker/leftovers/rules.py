"""Which files in a plotter host's directories are leftovers. Pure: a listing, what runs, and a time decide.

A file is one only when its name is a plotter's scratch, and nothing speaks for a process that still needs it.
Whatever cannot be known speaks for the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from common.model.units import human_duration
from plotter_worker.plotters.registry import PLOTTERS

# A plot's files were left alone for so long, all of them.
QUIET_S = 300.0
# Clocks are set while plotters run: what was changed so shortly before one started may be its own.
_CLOCK_S = 600.0

# chia, madMAx, bladebit and Gigahorse all put the plot's id into what they name after the plot, and end it in
# `.tmp`; see plotters/names.py.
_NAMED = re.compile(r"plot-(?:[0-9A-Za-z]+-)+([0-9a-f]{64})\.(?:.+\.)?tmp\Z")


@dataclass(frozen=True, slots=True)
class Scratch:
    """What a name tells. plot_id: None for bladebit's and Gigahorse's scratch, whose names say nothing of the
    plot; program: then the plotter that names its files so."""

    plot_id: str | None
    program: str | None = None


@dataclass(frozen=True, slots=True)
class File:
    """A regular file in one of the host's directories.

    folder: as configured. place: names the directory itself, whatever path leads to it ("device:inode").
    allocated_bytes: what it takes of the drive. owner: name of the user, or the number.
    network: the drive's file system, where other machines may write too; None: it is this machine's own.
    open: whether any process has it open; None: that cannot be told.
    whole: it holds a complete plot under a temporary name.
    """

    folder: str
    place: str
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
class Live:
    """A plotter process, running or suspended, whoever started it.

    plot_ids: of plots known to be its. only_these: it makes no others.
    places: the directories it uses; None: not all are known.
    """

    pid: int
    plotter: str
    user: str
    started_at_s: float
    plot_ids: frozenset[str] = frozenset()
    only_these: bool = False
    places: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What runs on the machine.

    open_names: names of scratch files that some process has open, as far as that could be seen.
    blind_to: users other than this one may have processes that cannot be seen at all: then the number of the
        user whose processes can be; None: all are seen.
    """

    lives: tuple[Live, ...] = ()
    open_names: frozenset[str] = frozenset()
    blind_to: int | None = None


@dataclass(frozen=True, slots=True)
class KeptFile:
    """Scratch that stays, and why."""

    file: File
    reason: str


def scratch_of(name: str) -> Scratch | None:
    """None for whatever no plotter names its unfinished files like, finished plots above all."""
    if match := _NAMED.match(name):
        return Scratch(match[1])
    for plotter in PLOTTERS:
        if plotter.own_files((name,), None).by_directory:
            return Scratch(None, plotter.name)
    return None


def sort(
    files: Iterable[File], evidence: Evidence, now_s: float, quiet_s: float = QUIET_S
) -> tuple[list[File], list[KeptFile]]:
    """(leftovers, scratch that stays). Files that are no plotter's scratch are in neither.

    now_s: seconds since the epoch. quiet_s: least time since the last change of any file of the same plot.
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
            _somebody_s(file, scratch, evidence)
            or ("a process has a file of this plot open" if group in busy else None)
            or _young(now_s - changed_s[group], quiet_s)
            or _out_of_sight(file, evidence)
        )
        if reason is None:
            leftovers.append(file)
        else:
            kept.append(KeptFile(file, reason))
    return leftovers, kept


def _group(file: File, scratch: Scratch) -> object:
    """Files that live and die together: a plot's, wherever; or a program's nameless ones in one directory."""
    return scratch.plot_id or (scratch.program, file.place)


def _somebody_s(file: File, scratch: Scratch, evidence: Evidence) -> str | None:
    for live in evidence.lives:
        who = f"{live.plotter} pid {live.pid} of {live.user}"
        here = live.places is None or file.place in live.places
        if scratch.plot_id is None:
            if live.plotter == scratch.program and here:
                return f"{who} may be using it: its name tells no plot"
        elif scratch.plot_id in live.plot_ids:
            return f"it belongs to the plot of {who}"
        elif not live.only_these and here and file.mtime_s >= live.started_at_s - _CLOCK_S:
            return f"it may belong to {who}, whose plot is not known"
    return None


def _young(quiet_for_s: float, quiet_s: float) -> str | None:
    if quiet_for_s >= quiet_s:
        return None
    return f"its plot was changed {human_duration(quiet_for_s)} ago, less than {human_duration(quiet_s)}"


def _out_of_sight(file: File, evidence: Evidence) -> str | None:
    if file.whole:
        name = file.name.removesuffix(".tmp").removesuffix(".2")
        return f"it is a whole plot that lacks only its name: rename it to {name}, or delete it yourself"
    if file.network is not None:
        return f"it lies on a network drive ({file.network}), where another machine may be writing it"
    if evidence.blind_to is not None and file.uid != evidence.blind_to:
        return f"it belongs to {file.owner}, whose processes cannot be seen from here"
    return None
