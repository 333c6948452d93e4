"""What one file on a drive is: the class of its plots, or the reason why it is no whole plot."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from datetime import UTC, datetime

from common.model.figures import MOST_FILE_BYTES
from common.model.inventory import key_of
from common.model.plot_class import PlotClass
from common.model.plot_name import PlotName, is_alike
from common.model.text import one_line
from common.system.plotfile import Header, NotAPlot, Verdict, judge_length, read_header

# Names under which programs write a plot to a drive before it is complete, without our parts.
_UNFINISHED = (".tmp", ".partial", ".part")
_LONGEST_REASON = 200
_MADE = re.compile(r"-(\d{4})-(0[1-9]|1[0-2])-\d\d-\d\d-\d\d-[0-9a-fA-F]{64}")
_MAX_NS = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells two states of a file apart without reading it."""

    size_bytes: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """Values as SQLite can store them, and sum them up: signed, with 64 bits. A sparse file may claim
        more than any drive has."""
        inode = status.st_ino if status.st_ino <= _MAX_NS else status.st_ino - (1 << 64)
        size_bytes = min(status.st_size, MOST_FILE_BYTES)
        return cls(size_bytes, max(-_MAX_NS, min(status.st_mtime_ns, _MAX_NS)), inode)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that was read.

    plots: how many it has; 0: it is no whole plot.
    reason: why it is none, or why no released software farms it; None: all is well.
    plot_id, meta_group: of the plot, or of the group of plots.
    made: year and month, as 202611; 0: not known.
    """

    plot_class: PlotClass | None = None
    plots: int = 0
    plot_id: bytes | None = None
    meta_group: int = 0
    made: int = 0
    reason: str | None = None

    @property
    def key(self) -> int | None:
        """Of common.model.inventory.key_of; None: it has no plot that is farmed."""
        if self.plot_id is None or self.plot_class is None or self.plot_class.unfarmable:
            return None
        return key_of(self.plot_id, self.meta_group)


def is_candidate(name: bytes) -> bool:
    """Whether a user would take a file of this name for a plot, complete or not."""
    text = os.fsdecode(name)
    for end in _UNFINISHED:
        text = text.removesuffix(end)
    return is_alike(text)


def examine(path: bytes, status: os.stat_result) -> Entry:
    """Read a file's header. Raises OSError where it cannot be read.

    Args:
        path: of the file.
        status: of the file, of a link itself.
    """
    name = os.fsdecode(path.rpartition(b"/")[2])
    if stat.S_ISLNK(status.st_mode):
        return _fault("a link: the plot counts where it lies")
    if not stat.S_ISREG(status.st_mode):
        return _fault("not a regular file")
    if name.endswith(_UNFINISHED):
        return _fault("unfinished: a program still copies it, or left it")
    place = os.fsdecode(path)
    try:
        header = read_header(place)
    except NotAPlot as error:
        return _fault(error.what.removeprefix(f"{place} ").removesuffix("."))
    found = judge_length(place, header)
    if found.verdict is Verdict.TRUNCATED:
        return _fault(f"truncated: {found.reason}")
    return _plot(header, name, status)


def _plot(header: Header, name: str, status: os.stat_result) -> Entry:
    named = PlotName.parse(name)
    plot_id = header.plot_id or (named and named.plot_id)
    # Gigahorse writes the level into the name only, and makes no plots without one.
    level = (named and named.compression) or None
    return Entry(
        header.plot_class(level),
        header.group_size or 1,
        bytes.fromhex(plot_id) if plot_id else None,
        header.meta_group or 0,
        made(name, status.st_mtime),
        header.unfarmable,
    )


def made(name: str, mtime_s: float) -> int:
    """Year and month in which a plot was made, as 202611: by its name, else by the time of its last change,
    Unix time; 0: not known."""
    if found := _MADE.search(name):
        return int(found[1]) * 100 + int(found[2])
    try:
        at = datetime.fromtimestamp(mtime_s, UTC)
    except (OverflowError, ValueError, OSError):
        return 0
    return at.year * 100 + at.month


def month_text(month: int) -> str | None:
    """202611 -> "2026-11"."""
    return f"{month // 100:04}-{month % 100:02}" if month else None


def _fault(reason: str) -> Entry:
    return Entry(reason=one_line(reason, _LONGEST_REASON))
