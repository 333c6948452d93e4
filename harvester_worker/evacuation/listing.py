"""What lies on a drive that is evacuated: plots that can be moved, and files that are left alone."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from common.model.figures import MOST
from common.model.plot_name import PlotName, is_alike
from common.model.snapshot import DirState, FinishedPlot, PlotState
from common.system.plotfile import classify, printable
from common.system.probe import look
from harvester_worker.drives import evacuated, part_files
from harvester_worker.drives.existing_plots import plots_with_ids
from harvester_worker.evacuation.release import LEAVING

# Headers that one look reads at most: a look must not take minutes.
_HEADERS_MAX = 50
# A failing drive may need many seconds for each error.
_UNREADABLE_AGAIN_S = 600.0
# Not an operator's files: plotman's own folder, and the one that mkfs makes.
_NOT_LISTED = frozenset({part_files.FOLDER, "lost+found"})


@dataclass(frozen=True, slots=True)
class DriveListing:
    """state: of the drive; nothing is known of one that is not OK.

    movable: whole plots that nobody writes. left_plots, left_bytes: those, and files with a plot's name that
    were not judged yet, are being written, or cannot be read now.
    stays: name of a file or folder that stays, for good or until it can be read -> why. kept_plots: number of
    files with a plot's name that stay for good, and are not in left_plots.
    names: of all files and folders. arriving: plots that were on their way to the drive when it was drained.
    """

    state: DirState = DirState.UNKNOWN
    movable: tuple[FinishedPlot, ...] = ()
    left_plots: int = 0
    left_bytes: int = 0
    stays: dict[str, str] = field(default_factory=dict)
    kept_plots: int = 0
    names: frozenset[str] = frozenset()
    arriving: int = 0


@dataclass(frozen=True, slots=True)
class _Judged:
    """seen: size and time of change of the file. again_s: monotonic; when to judge it anew."""

    seen: tuple[int, int]
    state: PlotState
    why: str
    again_s: float = float("inf")


@dataclass(frozen=True, slots=True)
class _Found:
    """A file. leaves: it is a plot that is to be moved, perhaps later. ready: now. why: it does not move, or
    not now."""

    leaves: bool = False
    ready: bool = False
    size_bytes: int = 0
    why: str | None = None


class DriveLister:
    """Lists one drive. Use it from one thread at a time, which may hang with the drive."""

    def __init__(self, drive: str, must_be_mounted: bool) -> None:
        self.drive = drive
        self.must_be_mounted = must_be_mounted
        self._judged: dict[str, _Judged] = {}
        self._headers_left = 0

    def listing(self, order_id: str, refused: Mapping[str, str], since: datetime) -> DriveListing:
        """List the drive, if it is the one that was marked as evacuated.

        Args:
            order_id: of the evacuation.
            refused: name -> why; plots that are not moved.
            since: of the evacuation.

        Returns:
            What lies there; the state NOT_MOUNTED if the mark is missing: then the drive dropped out, and
            its folder is on another one.

        Raises:
            OSError: the drive cannot be listed.
        """
        state = look(self.drive, self.must_be_mounted).state
        if state is not DirState.OK:
            return DriveListing(state)
        if not evacuated.is_marked(self.drive, order_id):
            return DriveListing(DirState.NOT_MOUNTED)
        with os.scandir(self.drive) as entries:
            names = sorted(entry.name for entry in entries if entry.name not in _NOT_LISTED)
        self._headers_left = _HEADERS_MAX
        stays: dict[str, str] = {}
        movable: list[FinishedPlot] = []
        left_plots = left_bytes = kept_plots = 0
        for name in names:
            found = self._file(name, refused)
            if found is None:
                continue
            if found.why is not None:
                stays[printable(name)] = found.why
            if not found.leaves:
                kept_plots += PlotName.parse(name) is not None
                continue
            left_plots += 1
            left_bytes += found.size_bytes
            plot = PlotName.parse(name)
            if found.ready and plot is not None:
                movable.append(
                    FinishedPlot(
                        path=str(Path(self.drive, name)),
                        size_bytes=found.size_bytes,
                        state=PlotState.READY,
                        since=since,
                        plot_id=plot.plot_id,
                        k=plot.k,
                    )
                )
        for aside in sorted(part_files.folder(self.drive).glob(f"*{LEAVING}")):
            left_plots += 1
            stays[printable(aside.name)] = f"it is set aside in {aside.parent}, and its name is taken"
        for name in self._judged.keys() - set(names):
            del self._judged[name]
        left_bytes = min(left_bytes, MOST)
        return DriveListing(
            state=state,
            movable=tuple(movable),
            left_plots=left_plots,
            left_bytes=left_bytes,
            stays=stays,
            kept_plots=kept_plots,
            names=frozenset(names),
            arriving=self._arriving(),
        )

    def _arriving(self) -> int:
        incoming = part_files.folder(self.drive)
        parts = part_files.named(incoming, part_files.listed(str(incoming)))
        return sum(time.time() - part.touched_s < part_files.IDLE_S for part in parts)

    def _file(self, name: str, refused: Mapping[str, str]) -> _Found | None:
        """What is to be done with a file; None if it was deleted meanwhile."""
        if printable(name) != name or not is_alike(name):
            return _Found(why="not named like a plot")
        if name in refused:
            return _Found(why=refused[name])
        try:
            status = Path(self.drive, name).lstat()
        except FileNotFoundError:
            return None
        except OSError as error:
            return _Found(leaves=True, why=_unreadable(error))
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
            return _Found(why="it has several names (hard links)")
        known = self._judgement(name, (status.st_size, status.st_mtime_ns))
        if known is None or known.state is PlotState.OPEN:
            return _Found(leaves=True, size_bytes=status.st_size)
        if known.again_s < float("inf"):
            return _Found(leaves=True, size_bytes=status.st_size, why=known.why)
        if known.state is not PlotState.READY:
            return _Found(why=known.why)
        return _Found(leaves=True, ready=True, size_bytes=status.st_size)

    def _judgement(self, name: str, seen: tuple[int, int]) -> _Judged | None:
        """What a file is, by its header; None: not read yet, since this look has read enough headers."""
        known = self._judged.get(name)
        if known is not None and known.seen == seen and known.again_s > time.monotonic():
            return known
        if not self._headers_left:
            return None
        self._headers_left -= 1
        self._judged[name] = known = self._judge(name, seen)
        return known

    def _judge(self, name: str, seen: tuple[int, int]) -> _Judged:
        try:
            state, why, *_ = classify(Path(self.drive, name), datetime.now(UTC))
        except OSError as error:
            return _Judged(
                seen, PlotState.FOREIGN, _unreadable(error), time.monotonic() + _UNREADABLE_AGAIN_S
            )
        again_s = time.monotonic() if state is PlotState.OPEN else float("inf")
        return _Judged(seen, state, why or state.value, again_s)


def _unreadable(error: OSError) -> str:
    return f"cannot be read: {error.strerror or error}"


def plots_on(drive: str) -> tuple[int, int]:
    """Number and bytes of the files that are named like plots. Raises OSError."""
    count = size_bytes = 0
    with os.scandir(drive) as entries:
        for entry in entries:
            if PlotName.parse(entry.name) is not None and entry.is_file(follow_symlinks=False):
                count += 1
                size_bytes += entry.stat(follow_symlinks=False).st_size
    return count, min(size_bytes, MOST)  # a sparse file may claim any size


def plot_ids_on(plot_ids: frozenset[str], drive: str) -> frozenset[str] | OSError:
    """The ids whose plots are on a drive, by name and header; none if it is an evacuated drive under
    another path. The error if it cannot be read."""
    try:
        if evacuated.is_marked(drive):
            return frozenset()
    except OSError as error:
        return error
    found = plots_with_ids(plot_ids, drive)
    return found if isinstance(found, OSError) else frozenset(plot_id for plot_id, _ in found)
