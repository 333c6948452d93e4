"""The drives of this host as last surveyed; a drive that hangs does not delay the others."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from pathlib import Path

from common.model.snapshot import DirState, Drive, DriveUse, Hold
from common.system.mounts import Mounts
from common.system.probe import DirReport, Hanging, Probe
from harvester_worker.drives import part_files
from harvester_worker.drives.part_files import Part
from harvester_worker.drives.placement import Candidate
from harvester_worker.drives.survey import DriveSurvey, DriveSurveyor
from harvester_worker.drives.write_check import must_take_bytes

log = logging.getLogger(__name__)

REFRESH_S = 10.0
LOOK_S = 2.0  # deadline of a survey
CHANGE_S = 30.0  # deadline for creating, allocating and renaming files
WRITE_CHECK_S = 120.0  # a drive may first have to write what it has of plots
SWEEP_EVERY_S = 600.0


_UNSEEN = DriveSurvey(DirReport(DirState.UNKNOWN))
# st_dev -> st_ino of a drive's folder -> bytes of plots on their way that are not allocated yet. Two drives
# may be one folder.
_ToCome = dict[int, dict[int, int]]


@dataclass(frozen=True, slots=True)
class _Published:
    """A drive's entry of the snapshot, and the facts that it was made of."""

    seen: DriveSurvey
    rest: tuple[DriveUse, Hold | None, bool, int | None]
    drive: Drive


class DriveRegistry:
    """Keeps the last survey of every drive. A drive that was seen once stays in the list, so that it shows as
    missing once it disappears."""

    def __init__(
        self,
        find: Callable[[], Sequence[str]],
        plain_folders: bool,
        probe: Probe,
        use_of: Callable[[str], DriveUse] = lambda _: DriveUse.ACTIVE,
        margin_bytes: int = 0,
        hold_of: Callable[[str], Hold | None] = lambda _: None,
        is_sure: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """
        Args:
            find: Gives the paths that the configuration names now; it may glob, so drives may appear at any
                time.
            plain_folders: Drives need not be mounted file systems.
            use_of: Configured use of a drive; disabled drives are never surveyed.
            hold_of: An operator's hold on a drive.
            is_sure: Whether a path from `find` is a drive even if it was never seen.
        """
        self.probe = probe
        self._hold_of = hold_of
        self._surveyor = DriveSurveyor()
        self._lock = threading.Lock()
        self._leaving: set[str] = set()  # not configured any more, and parts are on their way to them
        self._named: tuple[str, ...] = ()  # by the last `find`
        self._supposed: set[str] = set()  # paths that may be drives: they hang since they were found
        self.configure(find, plain_folders, use_of, margin_bytes, is_sure)
        self._paths: dict[str, None] = {}
        self._seen: dict[str, DriveSurvey] = {}
        self._published: dict[str, _Published] = {}

    def configure(
        self,
        find: Callable[[], Sequence[str]],
        plain_folders: bool,
        use_of: Callable[[str], DriveUse],
        margin_bytes: int,
        is_sure: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """Use another configuration from the next survey on. Arguments as in __init__."""
        self._find = find
        self.must_be_mounted = not plain_folders
        self._configured_use = use_of
        self._is_sure = is_sure
        self._margin_bytes = margin_bytes

    def forget(self, named: Callable[[str], bool]) -> None:
        """Remove the drives that are not `named` by the configuration any more. A drive with plots on their
        way to it stays, draining, until they are taken in."""
        with self._lock:
            self._leaving = {path for path in self._paths if not named(path)}
        self._remove_left()

    def use_of(self, path: str) -> DriveUse:
        """Use of a drive by the configuration and the operators' holds."""
        return self._use(path, self._hold_of(path))

    def paths(self) -> list[str]:
        """All drives, disabled ones too, in the order of the configuration."""
        with self._lock:
            return list(self._paths)

    def refresh(self, *only: str) -> dict[str, DriveSurvey]:
        """Survey all drives, or `only` these, at the same time, in LOOK_S at most. Returns the surveys;
        disabled drives are left out."""
        supposed = () if only else self._find_more()
        named = only or dict.fromkeys((*self.paths(), *supposed))
        paths = [path for path in named if self._configured_use(path) is not DriveUse.DISABLED]
        mounts = cache(Mounts.now)
        answers = self.probe.run_all(paths, lambda path: self.survey(path, mounts), LOOK_S)
        with self._lock:
            for path, answer in answers.items():
                seen = DriveSurvey(DirReport(DirState.HANGING)) if isinstance(answer, Hanging) else answer
                self._seen[path] = seen
            self._sort_out(supposed)
            found = {path: self._seen[path] for path in answers if path in self._seen}
        self._remove_left()
        return found

    def sweep(self, takes_in: Callable[[str], bool]) -> None:
        """Delete abandoned parts on all writable drives. takes_in: whether the plot of this id is being taken
        in."""
        usable = [path for path, seen in self.refresh().items() if seen.report.state is DirState.OK]
        answers = self.probe.run_all(usable, partial(_swept, takes_in=takes_in), CHANGE_S)
        for path, deleted in answers.items():
            for file in [] if isinstance(deleted, Hanging) else deleted:
                log.info("deleted %s: it was abandoned", file, extra={"action": "swept", "drive": path})

    def published(self) -> tuple[Drive, ...]:
        """Entries of the snapshot."""
        with self._lock:
            return self._publish()

    def candidate(self, path: str, seen: DriveSurvey, plot_id: str | None = None) -> Candidate:
        """A drive as the placement rule needs it. plot_id: plot whose own part does not count as a writer."""
        writers = seen.writers(part_files.now_utc(), but=plot_id)
        return Candidate(
            path,
            seen.report.state,
            seen.room_bytes(self.elsewhere_bytes(seen)),
            writers,
            self.use_of(path),
            seen.last_used_s,
            seen.plots,
        )

    def elsewhere_bytes(self, seen: DriveSurvey) -> int:
        """Bytes of plots on their way that other drives of the same file system will still take, by the last
        surveys. seen: the drive."""
        with self._lock:
            return _elsewhere_bytes(seen, self._to_come())

    def parts(self) -> list[Part]:
        """The parts on all drives, as last seen."""
        with self._lock:
            return [part for seen in self._seen.values() for part in seen.parts]

    def length_bytes(self, path: str, part: Path) -> int:
        """Length of a part on the drive `path`, as last seen; 0 if there was none."""
        with self._lock:
            seen = self._seen.get(path, _UNSEEN)
        return next((one.length_bytes for one in seen.parts if one.path == part), 0)

    def seen(self, path: str) -> DriveSurvey:
        """The last survey of a drive."""
        with self._lock:
            return self._seen.get(path, _UNSEEN)

    def survey(self, path: str, mounts: Callable[[], Mounts] = Mounts.now) -> DriveSurvey:
        """Survey a drive in this thread, which may hang with it."""
        return self._surveyor.survey(path, self.must_be_mounted, mounts)

    def write_trouble(self, path: str) -> str | None:
        """Why this process cannot write to a drive, by a file of its own; None: it can. Takes WRITE_CHECK_S
        at most."""
        try:
            # Not at the drive's own path: its surveys would wait.
            work = partial(must_take_bytes, path, self.must_be_mounted)
            self.probe.run(f"{path}, to write", work, WRITE_CHECK_S)
        except Hanging:
            return f"nothing can be written there within {WRITE_CHECK_S:g} s"
        except OSError as error:
            return error.strerror or str(error)
        return None

    def _remove_left(self) -> None:
        with self._lock:
            done = {path for path in self._leaving if not self._seen.get(path, _UNSEEN).parts}
            self._leaving -= done
            self._supposed -= done
            for path in done:
                self._drop(path)

    def _find_more(self) -> tuple[str, ...]:
        """Add the drives that `find` gives now. Returns the paths that must be seen before they are added."""
        # In a thread of its own: a glob reads the folders that hold the drives, and may hang with them.
        try:
            found = tuple(self.probe.run("(patterns)", self._find, LOOK_S))
        except Hanging:
            return ()  # known drives are surveyed anyway
        with self._lock:
            disabled = DriveUse.DISABLED
            sure = [
                path
                for path in found
                if path in self._paths or self._is_sure(path) or self._configured_use(path) is disabled
            ]
            self._paths |= dict.fromkeys(sure)
            self._leaving -= set(found)
            self._named = found
            return tuple(path for path in found if path not in self._paths)

    def _sort_out(self, supposed: Iterable[str]) -> None:
        """Add the supposed drives that exist. A drive that hangs is listed until it answers. Call
        with the lock held."""
        self._supposed |= {path for path in supposed if path not in self._paths}
        if not self._supposed:
            return
        for path in list(self._supposed):
            state = self._seen.get(path, _UNSEEN).report.state
            if state is DirState.MISSING:
                self._drop(path)
            else:
                self._paths[path] = None
            if state is not DirState.HANGING:
                self._supposed.discard(path)
        # In the order of the configuration, not of the answers.
        self._paths = {path: None for path in self._named if path in self._paths} | self._paths

    def _drop(self, path: str) -> None:
        self._paths.pop(path, None)
        self._seen.pop(path, None)
        self._published.pop(path, None)

    def _use(self, path: str, hold: Hold | None) -> DriveUse:
        configured = self._configured_use(path)
        drained = path in self._leaving or hold is not None
        return DriveUse.DRAINING if configured is DriveUse.ACTIVE and drained else configured

    def _publish(self) -> tuple[Drive, ...]:
        # A drive is full if the smallest plot of this host would not fit; without plots, if no byte is free.
        smallest_bytes = min((seen.plot_bytes for seen in self._seen.values() if seen.plot_bytes), default=1)
        least_bytes = smallest_bytes + self._margin_bytes
        now = part_files.now_utc()
        to_come = self._to_come()
        return tuple(self._entry(path, least_bytes, now, to_come) for path in self._paths)

    def _to_come(self) -> _ToCome:
        """Call with the lock held."""
        found: _ToCome = {}
        for seen in self._seen.values():
            if seen.parts and seen.report.status is not None:
                on_device = found.setdefault(seen.report.status.st_dev, {})
                inode = seen.report.status.st_ino
                on_device[inode] = max(on_device.get(inode, 0), seen.to_come_bytes())
        return found

    def _entry(self, path: str, least_bytes: int, now: datetime, to_come: _ToCome) -> Drive:
        """The snapshot's entry of a drive; the same object as before if nothing changed: this runs each
        second."""
        seen = self._seen.get(path, _UNSEEN)
        hold = self._hold_of(path)
        use = self._use(path, hold)
        room_bytes = seen.room_bytes(_elsewhere_bytes(seen, to_come))
        full = room_bytes is not None and room_bytes < least_bytes
        published = self._published.get(path)
        if (
            published
            and (published.seen is seen or published.seen == seen)
            and published.rest == (use, hold, full, room_bytes)
        ):
            return published.drive
        drive = Drive(
            path=path,
            state=seen.report.state,
            use=use,
            drained=hold,
            full=full,
            free_bytes=room_bytes,
            total_bytes=seen.report.total_bytes,
            device=seen.report.device,
            plots=seen.plots,
            reserved_bytes=sum(part.record.size_bytes for part in seen.parts if part.record),
            incoming=len(seen.parts),
            state_since=published.drive.state_since if published else now,
        )
        if published and published.drive.word != drive.word:
            drive = drive.model_copy(update={"state_since": now})
        self._published[path] = _Published(seen, (use, hold, full, room_bytes), drive)
        return drive


def _elsewhere_bytes(seen: DriveSurvey, to_come: _ToCome) -> int:
    if seen.report.status is None:
        return 0
    on_device = to_come.get(seen.report.status.st_dev, {})
    return max(0, sum(on_device.values()) - seen.to_come_bytes())


def _swept(path: str, takes_in: Callable[[str], bool]) -> list[str]:
    try:
        return [str(file) for file in part_files.sweep(path, part_files.now_utc(), takes_in)]
    except OSError as error:
        log.warning("%s cannot be swept: %s", path, error, extra={"action": "sweep-failed"})
        return []
