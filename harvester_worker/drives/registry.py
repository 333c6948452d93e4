"""The drives of this host as last seen; none that hangs keeps us from the others."""

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
from harvester_worker.drives.placement import Candidate
from harvester_worker.drives.survey import DriveSurvey, DriveSurveyor

log = logging.getLogger(__name__)

REFRESH_S = 10.0
LOOK_S = 2.0  # a look at a drive
CHANGE_S = 30.0  # making, holding and renaming files on it
SWEEP_EVERY_S = 600.0


_UNSEEN = DriveSurvey(DirReport(DirState.UNKNOWN))


@dataclass(frozen=True, slots=True)
class _Told:
    """A drive as it was told, and what that was made of."""

    seen: DriveSurvey
    rest: tuple[DriveUse, Hold | None, bool]
    drive: Drive


class DriveRegistry:
    """Keeps the last survey of every drive.

    find: the paths that the configuration names now; it may glob, so drives may come at any time. One that
        was seen once stays in the list: a drive that is gone is to be seen missing.
    is_sure: of one that `find` gives, whether it is a drive even where it was never seen.
    use_of: what the owner wants of a drive; those that are disabled are never looked at.
    hold_of: what a person said about it while we run.
    """

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
        self.probe = probe
        self._hold_of = hold_of
        self._looker = DriveSurveyor()
        self._lock = threading.Lock()
        self._leaving: set[str] = set()
        self._named: tuple[str, ...] = ()  # what `find` gave last
        self._supposed: set[str] = set()  # those that were only seen to hang
        self.follow(find, plain_folders, use_of, margin_bytes, is_sure)
        self._paths: dict[str, None] = {}
        self._seen: dict[str, DriveSurvey] = {}
        self._told: dict[str, _Told] = {}

    def follow(
        self,
        find: Callable[[], Sequence[str]],
        plain_folders: bool,
        use_of: Callable[[str], DriveUse],
        margin_bytes: int,
        is_sure: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """Go on by another configuration; the next look is by it."""
        self._find = find
        self.must_be_mounted = not plain_folders
        self._configured_use = use_of
        self._is_sure = is_sure
        self._margin_bytes = margin_bytes

    def forget(self, named: Callable[[str], bool]) -> None:
        """Leave out the drives that the configuration does not name any more. One that plots are on their
        way to stays, draining, until they have landed."""
        with self._lock:
            self._leaving = {path for path in self._paths if not named(path)}
        self._let_go()

    def use_of(self, path: str) -> DriveUse:
        """What is wanted of a drive, by its owner's configuration and by what a person said since."""
        return self._use(path, self._hold_of(path))

    def paths(self) -> list[str]:
        """In the order of the configuration, also those that are disabled."""
        with self._lock:
            return list(self._paths)

    def refresh(self, *only: str) -> dict[str, DriveSurvey]:
        """Look at all drives, or at these, at the same time; takes LOOK_S at most. Gives what was seen: those
        that are disabled are not in it."""
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
        self._let_go()
        return found

    def sweep(self, in_hand: Callable[[str], bool]) -> None:
        """Remove what was abandoned on the drives that can be written to. in_hand: whether the plot of this
        id is being taken in."""
        usable = [path for path, seen in self.refresh().items() if seen.report.state is DirState.OK]
        answers = self.probe.run_all(usable, partial(_swept, in_hand=in_hand), CHANGE_S)
        for path, gone in answers.items():
            for file in [] if isinstance(gone, Hanging) else gone:
                log.info("removed %s: nobody worked on it", file, extra={"action": "swept", "drive": path})

    def shown(self) -> tuple[Drive, ...]:
        """For the notice board."""
        with self._lock:
            return self._show()

    def problems(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(
                f"{file} was refused; its source is kept. This copy goes after a day."
                for seen in self._seen.values()
                for file in seen.refused
            )

    def candidate(self, path: str, seen: DriveSurvey, plot_id: str | None = None) -> Candidate:
        """A drive as the rule sees it, for the plot that asks."""
        writers = seen.writers(part_files.now_utc(), but=plot_id)
        return Candidate(
            path,
            seen.report.state,
            seen.room_bytes(),
            writers,
            self.use_of(path),
            seen.last_used_s,
            seen.plots,
        )

    def length_bytes(self, path: str, part: Path) -> int:
        """Of a part on a drive, as last seen; 0 where none was."""
        with self._lock:
            seen = self._seen.get(path, _UNSEEN)
        return next((one.length_bytes for one in seen.parts if one.path == part), 0)

    def survey(self, path: str, mounts: Callable[[], Mounts] = Mounts.now) -> DriveSurvey:
        """Look at a drive in this thread, which may hang with it."""
        return self._looker.survey(path, self.must_be_mounted, mounts)

    def _let_go(self) -> None:
        with self._lock:
            done = {path for path in self._leaving if not self._seen.get(path, _UNSEEN).parts}
            self._leaving -= done
            self._supposed -= done
            for path in done:
                self._drop(path)

    def _find_more(self) -> tuple[str, ...]:
        """Take up what there is now. Gives those that have yet to be seen, before they are in the list."""
        # In a thread like the drives' own: a pattern is looked up in the folders that hold the drives.
        try:
            found = tuple(self.probe.run("(patterns)", self._find, LOOK_S))
        except Hanging:
            return ()  # those that are known are still looked at
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
        """Which of those that were supposed are there. One that hangs is in the list until it tells. With the
        lock held."""
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
        # In the order of the configuration, whoever told first.
        self._paths = {path: None for path in self._named if path in self._paths} | self._paths

    def _drop(self, path: str) -> None:
        self._paths.pop(path, None)
        self._seen.pop(path, None)
        self._told.pop(path, None)

    def _use(self, path: str, hold: Hold | None) -> DriveUse:
        configured = self._configured_use(path)
        drained = path in self._leaving or hold is not None
        return DriveUse.DRAINING if configured is DriveUse.ACTIVE and drained else configured

    def _show(self) -> tuple[Drive, ...]:
        # A drive is full when not even the smallest plot would fit that this host has; where it has none, no
        # byte.
        smallest_bytes = min((seen.plot_bytes for seen in self._seen.values() if seen.plot_bytes), default=1)
        least_bytes = smallest_bytes + self._margin_bytes
        now = part_files.now_utc()
        return tuple(self._shown(path, least_bytes, now) for path in self._paths)

    def _shown(self, path: str, least_bytes: int, now: datetime) -> Drive:
        """What nothing happened to is the same object as before: this is asked every second."""
        seen = self._seen.get(path, _UNSEEN)
        hold = self._hold_of(path)
        use = self._use(path, hold)
        room_bytes = seen.room_bytes()
        full = room_bytes is not None and room_bytes < least_bytes
        told = self._told.get(path)
        if told and (told.seen is seen or told.seen == seen) and told.rest == (use, hold, full):
            return told.drive
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
            state_since=told.drive.state_since if told else now,
        )
        if told and told.drive.word != drive.word:
            drive = drive.model_copy(update={"state_since": now})
        self._told[path] = _Told(seen, (use, hold, full), drive)
        return drive


def _swept(path: str, in_hand: Callable[[str], bool]) -> list[str]:
    try:
        return [str(file) for file in part_files.sweep(path, part_files.now_utc(), in_hand)]
    except OSError as error:
        log.warning("%s cannot be tidied: %s", path, error, extra={"action": "sweep-failed"})
        return []
