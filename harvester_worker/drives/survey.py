"""Survey of a drive: state, free space, plots, parts on their way."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Generic, TypeVar

from common.model.plot_name import SUFFIXES
from common.model.snapshot import DirState
from common.system.mounts import Mounts
from common.system.probe import DirReport, look
from harvester_worker.drives import part_files
from harvester_worker.drives.part_files import Part

log = logging.getLogger(__name__)

T = TypeVar("T")

# Local file systems whose folders get a new ctime, by this machine's clock, whenever a name is added or
# removed. Folders on others are listed each time: network file systems report ctime late, pools (mergerfs)
# for one branch only, and the mount table lacks the devices of btrfs.
_LOCAL = frozenset({"ext2", "ext3", "ext4", "xfs", "zfs", "f2fs", "tmpfs"})
# The coarsest ctime has whole seconds: a folder that changed just now may change again with the same ctime.
_SETTLED_S = 3.0
# Listings are renewed after this time in any case, which mends errors of unknown cause.
_LISTED_ANEW_S = 600.0


@dataclass(frozen=True, slots=True)
class DriveSurvey:
    """last_used_s: mtime of the folder of parts, Unix time: when a part was last added or removed. It stays
        with the drive over restarts. 0: no plot was ever taken in.
    plot_bytes: size of one plot on it; None: it has none.
    """

    report: DirReport
    plots: int = 0
    parts: tuple[Part, ...] = ()
    last_used_s: float = 0
    plot_bytes: int | None = None

    def room_bytes(self, elsewhere_bytes: int = 0) -> int | None:
        """Free bytes after all plots on their way. Allocated bytes are missing from f_bavail already; bytes
        that the file system could not allocate are subtracted here.

        Args:
            elsewhere_bytes: Still to come on other drives of the same file system.
        """
        if self.report.free_bytes is None:
            return None
        return max(0, self.report.free_bytes - self.to_come_bytes() - elsewhere_bytes)

    def to_come_bytes(self, but: str | None = None) -> int:
        """Bytes of plots on their way that are not allocated yet. but: id of a plot that does not count."""
        return sum(part.to_come_bytes for part in self.parts if part.path.stem != but)

    def writers(self, now: datetime, but: str | None = None) -> int:
        """Number of plots that are being written here. but: id of a plot that does not count."""
        return sum(
            -part_files.AHEAD_S < now.timestamp() - part.touched_s < part_files.IDLE_S
            for part in self.parts
            if part.path.stem != but
        )


@dataclass(frozen=True, slots=True)
class _Listing(Generic[T]):
    folder: tuple[int, int, int]  # st_dev, st_ino, st_ctime_ns
    listed_s: float  # Unix time
    found: T


class _Listed(Generic[T]):
    """Cache of folder listings, by path.

    A folder's ctime changes with each name that is added or removed, and no program can set it back as rsync
    and cp do with mtimes. It does not cover the files themselves: the caller must stat them.
    """

    def __init__(self, find: Callable[[str], T]) -> None:
        self._find = find
        self._known: dict[str, _Listing[T]] = {}

    def of(self, path: str, status: os.stat_result, mounts: Mounts) -> T:
        """The listing of `path`. status: the folder's, just now. Raises OSError."""
        now_s = time.time()
        folder = (status.st_dev, status.st_ino, status.st_ctime_ns)
        known = self._known.get(path)
        if known and known.folder == folder and 0 <= now_s - known.listed_s < _LISTED_ANEW_S:
            return known.found
        found = self._find(path)
        if mounts.devices.get(status.st_dev) in _LOCAL and now_s - status.st_ctime > _SETTLED_S:
            self._known[path] = _Listing(folder, now_s, found)
        return found


class DriveSurveyor:
    """Surveys drives in the caller's thread; may hang with them. Folders are listed again only if they may
    have changed; free space, parts and the newest plot's size are read each time.
    """

    def __init__(self) -> None:
        self._plots = _Listed(_plots)
        self._parts = _Listed(part_files.listed)

    def survey(
        self, path: str, must_be_mounted: bool, mounts: Callable[[], Mounts] = Mounts.now
    ) -> DriveSurvey:
        """Survey the drive at `path`. Other arguments as in common.system.probe.look."""
        report = look(path, must_be_mounted, mounts)
        if report.status is None:
            return DriveSurvey(report)
        try:
            listed = self._plots.of(path, report.status, mounts())
            size_bytes = _size_bytes(f"{path}/{listed.newest}") if listed.newest else None
            if not listed.took_plots:
                return DriveSurvey(report, listed.plots, plot_bytes=size_bytes)
            try:
                folder = f"{path}/{part_files.FOLDER}"
                status = os.lstat(folder)
                part_files.must_be_own(folder, status)
                names = self._parts.of(folder, status, mounts())
            except FileNotFoundError:
                return DriveSurvey(report, listed.plots, plot_bytes=size_bytes)
            return DriveSurvey(
                report,
                listed.plots,
                part_files.named(Path(folder), names) if names else (),
                status.st_mtime,
                size_bytes,
            )
        except OSError as error:
            log.warning("%s cannot be listed: %s", path, error, extra={"action": "drive-unreadable"})
            return DriveSurvey(DirReport(DirState.MISSING))


@dataclass(frozen=True, slots=True)
class _Plots:
    """plots: number. newest: the last name, which is the newest plot of its k. took_plots: the folder of
    parts exists."""

    plots: int
    newest: str | None
    took_plots: bool


def _plots(path: str) -> _Plots:
    with os.scandir(path) as entries:
        names = [entry.name for entry in entries]
    plots = [name for name in names if name.endswith(SUFFIXES)]
    return _Plots(len(plots), max(plots, default=None), part_files.FOLDER in names)


def _size_bytes(path: str) -> int | None:
    """Allocated, if that is less: a sparse file may claim any size, which would make the drive full."""
    with contextlib.suppress(FileNotFoundError):
        status = os.stat(path)  # noqa: PTH116
        return min(status.st_size, status.st_blocks * 512)
    return None
