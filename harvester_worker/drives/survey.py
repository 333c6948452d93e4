"""All that one look at a drive tells."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from common.model.plot_name import SUFFIXES
from common.model.snapshot import DirState
from common.system.mounts import Mounts
from common.system.probe import DirReport, look
from harvester_worker.drives import part_files
from harvester_worker.drives.part_files import Part

log = logging.getLogger(__name__)

T = TypeVar("T")

# File systems of this machine's own whose folders have a new ctime, of our clock, whenever a name comes or
# goes. Others are listed anew each time: a network's tell it late, a pool's (mergerfs) only of one branch;
# and btrfs', whose devices the mount table does not name.
_LOCAL = frozenset({"ext2", "ext3", "ext4", "xfs", "zfs", "f2fs", "tmpfs"})
# The coarsest of them tells whole seconds: a folder that changed just now may change again unseen.
_SETTLED_S = 3.0
# What is told wrong for a reason that nobody thought of is told right again after so long.
_LISTED_ANEW_S = 600.0


@dataclass(frozen=True, slots=True)
class DriveSurvey:
    """last_used_s: Unix time when a part last came here or went, which the folder's own time of change tells:
    it stays with the drive, whatever becomes of this process; 0 where nothing ever came.
    plot_bytes: size of one plot on it; None where there is none.
    """

    report: DirReport
    plots: int = 0
    parts: tuple[Part, ...] = ()
    refused: tuple[str, ...] = ()
    last_used_s: float = 0
    plot_bytes: int | None = None

    def room_bytes(self) -> int | None:
        """What may still be promised. Bytes that part files hold are missing from f_bavail already; those
        of file systems that cannot hold them are taken off here.
        """
        if self.report.free_bytes is None or not self.parts:
            return self.report.free_bytes
        return max(0, self.report.free_bytes - sum(part.to_come_bytes for part in self.parts))

    def writers(self, now: datetime, but: str | None = None) -> int:
        """Plots that are being written here; `but`: id of the one that asks."""
        return sum(
            now.timestamp() - part.touched_s < part_files.IDLE_S
            for part in self.parts
            if part.path.stem != but
        )


@dataclass(frozen=True, slots=True)
class _Listing(Generic[T]):
    folder: tuple[int, int, int]  # st_dev, st_ino, st_ctime_ns
    listed_s: float  # Unix time
    found: T


class _Listed(Generic[T]):
    """What was found in folders, by path, for as long as it must still be so.

    A folder's ctime changes with each name that comes or goes, and nobody can set it back as rsync and cp do
    with mtimes. It says nothing of the files themselves: their sizes are for the caller to look at.
    """

    def __init__(self, find: Callable[[str], T]) -> None:
        self._find = find
        self._known: dict[str, _Listing[T]] = {}

    def of(self, path: str, status: os.stat_result, mounts: Mounts) -> T:
        """status: of the folder, just now. Raises OSError."""
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
    """Looks at drives, here and now; may hang with them. What the folders hold is listed again where it may
    have changed; free space, the parts on their way in and the newest plot's size are looked up each time.
    """

    def __init__(self) -> None:
        self._held = _Listed(_held)
        self._arrivals = _Listed(part_files.listed)

    def survey(
        self, path: str, must_be_mounted: bool, mounts: Callable[[], Mounts] = Mounts.now
    ) -> DriveSurvey:
        """mounts: see common.system.probe.look."""
        report = look(path, must_be_mounted, mounts)
        if report.status is None:
            return DriveSurvey(report)
        try:
            held = self._held.of(path, report.status, mounts())
            size_bytes = _size_bytes(f"{path}/{held.newest}") if held.newest else None
            if not held.took_plots:
                return DriveSurvey(report, held.plots, plot_bytes=size_bytes)
            try:
                folder = f"{path}/{part_files.FOLDER}"
                status = os.stat(folder)  # noqa: PTH116 - hundreds at a time
                names = self._arrivals.of(folder, status, mounts())
            except FileNotFoundError:
                return DriveSurvey(report, held.plots, plot_bytes=size_bytes)
            return DriveSurvey(
                report,
                held.plots,
                part_files.named(path, names.parts) if names.parts else (),
                tuple(f"{folder}/{name}" for name in names.refused),
                status.st_mtime,
                size_bytes,
            )
        except OSError as error:
            log.warning("%s cannot be listed: %s", path, error, extra={"action": "drive-unreadable"})
            return DriveSurvey(DirReport(DirState.MISSING))


@dataclass(frozen=True, slots=True)
class _Held:
    """plots: how many. newest: whose name comes last, which is the newest of its k. took_plots: the folder is
    there through which they come in."""

    plots: int
    newest: str | None
    took_plots: bool


def _held(path: str) -> _Held:
    with os.scandir(path) as entries:
        names = [entry.name for entry in entries]
    plots = [name for name in names if name.endswith(SUFFIXES)]
    return _Held(len(plots), max(plots, default=None), part_files.FOLDER in names)


def _size_bytes(path: str) -> int | None:
    with contextlib.suppress(FileNotFoundError):
        return os.stat(path).st_size  # noqa: PTH116
    return None
