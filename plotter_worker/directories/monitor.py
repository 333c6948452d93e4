"""Monitors a tmp or dst directory in a thread of its own: a dead drive blocks no other."""

from __future__ import annotations

import logging
import os
import selectors
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from inotify_simple import INotify, flags

from common.model.figures import MOST
from common.model.plot_name import PlotName, is_alike
from common.model.snapshot import DirState, FinishedPlot, PlotState
from common.system.plotfile import classify, printable
from common.system.probe import LOOK_DEADLINE_S, DirReport
from common.system.probe import look as probe_directory

log = logging.getLogger(__name__)

_REFRESH_S = 10.0
_OPEN_REFRESH_S = 1.0  # while a plot is being written here: no event reports that it is closed
_FREED_STEP_BYTES = 1_000_000_000
_PAUSE_S = 0.05  # between two surveys at least
_WATCHED = flags.CREATE | flags.MOVED_TO | flags.MOVED_FROM | flags.DELETE | flags.CLOSE_WRITE


_NOT_YET = DirReport(DirState.UNKNOWN)


@dataclass(frozen=True)
class FileSeen:
    """allocated_bytes: space on the drive, which sparse files take less of than their size. mtime_ns: 0 if
    unknown."""

    name: str
    size_bytes: int
    allocated_bytes: int
    mtime_ns: int = 0


@dataclass(frozen=True)
class DirectorySurvey:
    """State and content of a directory at one moment. `plots` is empty if only unfinished files lie there."""

    report: DirReport = _NOT_YET
    files: tuple[FileSeen, ...] = ()
    plots: tuple[FinishedPlot, ...] = ()


def matters(former: DirectorySurvey, now: DirectorySurvey) -> bool:
    """Whether two surveys differ in what may change a decision: state, plots, or space that became free.

    Free space changes a little all the time while plots are made; the next renewal of the snapshot shows
    that.
    """
    if former.plots != now.plots or replace(former.report, free_bytes=None) != replace(
        now.report, free_bytes=None
    ):
        return True
    return (now.report.free_bytes or 0) - (former.report.free_bytes or 0) >= _FREED_STEP_BYTES


@dataclass
class _Known:
    state: PlotState
    since: datetime
    fingerprint: tuple[int, int, int] = field(default=(0, 0, 0))  # inode, size, time of change
    same_since_s: float = 0.0  # monotonic: since when the fingerprint is seen
    plot: FinishedPlot | None = None


class DirectoryMonitor:
    """Surveys one directory at each change, and every few seconds.

    Args:
        with_plots: finished plots lie here.
        on_change: called in the monitor's thread when a survey differs from the last, with `matters`.
        probe: reads the directory's state and space; may hang with its drive.
    """

    def __init__(
        self,
        path: str,
        with_plots: bool,
        on_change: Callable[[bool], None],
        probe: Callable[[str], DirReport] = probe_directory,
    ) -> None:
        self.path = path
        self.with_plots = with_plots
        self._on_change = on_change
        self._probe = probe
        self._last = DirectorySurvey()
        self._known: dict[str, _Known] = {}
        self._unnameable: set[str] = set()  # names that were logged
        self._busy_since: float | None = None
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"monitor {path}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self.wake()

    def wake(self) -> None:
        """Survey the directory again now."""
        os.eventfd_write(self._wake_fd, 1)

    @property
    def survey(self) -> DirectorySurvey:
        """The last survey; an empty one with state HANGING while the next is overdue."""
        busy_since = self._busy_since
        if busy_since is not None and time.monotonic() - busy_since > LOOK_DEADLINE_S:
            return DirectorySurvey(DirReport(DirState.HANGING))
        return self._last

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_fd, selectors.EVENT_READ)
            inotify: INotify | None = None
            while not self._stopping:
                self._busy_since = time.monotonic()
                if inotify is None and self.with_plots:
                    inotify = self._watch(selector)
                try:
                    survey = self._take_survey()
                except Exception:
                    # It must not be the last one. What is seen now may look otherwise next time.
                    log.exception("%s could not be surveyed", self.path)
                    survey = DirectorySurvey(self._last.report)
                self._busy_since = None
                if inotify is not None and _is_replaced(self._last.report, survey.report):
                    selector.unregister(inotify.fd)
                    inotify.close()
                    inotify = None  # the path will name another directory
                if survey != self._last:
                    former, self._last = self._last, survey
                    self._report(matters(former, survey))
                surveyed = time.monotonic()
                if selector.select(self._rest_s()):
                    time.sleep(max(0.0, surveyed + _PAUSE_S - time.monotonic()))
                self._drain(inotify)
            if inotify is not None:
                inotify.close()

    def _report(self, may_change_a_decision: bool) -> None:
        try:
            self._on_change(may_change_a_decision)
        except Exception:
            # An error in the report of one survey must not stop the next ones.
            log.exception("a change in %s could not be reported", self.path)

    def _rest_s(self) -> float:
        writing = any(plot.state is PlotState.OPEN for plot in self._last.plots)
        return _OPEN_REFRESH_S if writing else _REFRESH_S

    def _drain(self, inotify: INotify | None) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake_fd)
        if inotify is not None:
            inotify.read(timeout=0)

    def _watch(self, selector: selectors.BaseSelector) -> INotify | None:
        """Wake the monitor at each change in the directory; None if it cannot be watched now."""
        try:
            inotify = INotify(nonblocking=True)
        except OSError as error:  # a user may have 128 of them, see inotify(7)
            log.debug("inotify fails for %s (%s): it is surveyed every few seconds", self.path, error)
            return None
        try:
            inotify.add_watch(self.path, _WATCHED)
        except OSError:
            inotify.close()
            return None
        selector.register(inotify.fd, selectors.EVENT_READ)
        return inotify

    def _take_survey(self) -> DirectorySurvey:
        report = self._probe(self.path)
        try:
            files, links = _files(self.path)
        except OSError:
            return DirectorySurvey(report)  # the report has the cause
        named = tuple(sorted(self._nameable(files), key=lambda file: file.name))
        return DirectorySurvey(report, named, self._plots([*files, *links]) if self.with_plots else ())

    def _nameable(self, files: Iterable[FileSeen]) -> list[FileSeen]:
        """Files whose names are UTF-8, as plotters' are. Others cannot be in a snapshot; they are logged."""
        named = []
        for file in files:
            if _is_utf8(file.name):
                named.append(file)
            elif file.name not in self._unnameable:
                self._unnameable.add(file.name)
                log.warning("%s: %r is ignored, its name is not UTF-8", self.path, file.name)
        return named

    def _plots(self, files: Iterable[FileSeen]) -> tuple[FinishedPlot, ...]:
        named = sorted((file for file in files if is_alike(file.name)), key=lambda file: file.name)
        plots = []
        for file in named:
            self._busy_since = time.monotonic()  # each plot is some reads: a dozen of them are no dead drive
            if (plot := self._plot(file)) is not None:
                plots.append(plot)
        for name in self._known.keys() - {file.name for file in named}:
            del self._known[name]
        return tuple(plots)

    def _plot(self, file: FileSeen) -> FinishedPlot | None:
        path = Path(self.path, file.name)
        now, same_since_s = datetime.now(UTC), time.monotonic()
        try:
            status = path.lstat()
            fingerprint = (status.st_ino, file.size_bytes, status.st_mtime_ns)
            known = self._known.get(file.name)
            if (
                known
                and known.plot
                and known.fingerprint == fingerprint
                and known.state is not PlotState.OPEN
            ):
                return known.plot
            if known and known.fingerprint == fingerprint:
                same_since_s = known.same_since_s
            # A change in the future tells nothing: then it counts how long the file looks the same.
            changed = datetime.fromtimestamp(status.st_mtime_ns / 1e9, UTC)
            same = timedelta(seconds=time.monotonic() - same_since_s)
            plot = _finished(path, known, now, *classify(path, changed + same if changed > now else now))
        except OSError:
            return None  # deleted since it was listed
        except Exception as error:
            # One odd file must not keep the other plots of the folder here.
            log.exception("%s could not be judged", path)
            reason = f"it cannot be judged: {error}"
            plot = _finished(path, known, now, PlotState.FOREIGN, reason, None, file.size_bytes)
        self._known[file.name] = _Known(plot.state, plot.since, fingerprint, same_since_s, plot)
        return plot


def _finished(
    path: Path,
    known: _Known | None,
    now: datetime,
    state: PlotState,
    reason: str | None,
    name: PlotName | None,
    size_bytes: int,
) -> FinishedPlot:
    """The plot for the snapshot, by what `classify` returned. known: what was known of the file before."""
    if size_bytes > MOST:  # a sparse file, which takes no space; a snapshot cannot have this number
        state, reason, size_bytes = PlotState.FOREIGN, "no plot has 4 EiB or more", MOST
    return FinishedPlot(
        path=printable(str(path)),
        size_bytes=size_bytes,
        state=state,
        since=known.since if known and known.state is state else now,
        plot_id=name.plot_id if name else None,
        k=name.k if name else None,
        reason=reason,
    )


def _is_replaced(former: DirReport, now: DirReport) -> bool:
    """Whether the directory does not exist any more, or lies on another drive than before."""
    return now.device is None or former.device not in (None, now.device)


def _files(path: str) -> tuple[list[FileSeen], list[FileSeen]]:
    """The regular files, and the symbolic links with their own sizes. Raises OSError."""
    files: list[FileSeen] = []
    links: list[FileSeen] = []
    with os.scandir(path) as entries:
        for entry in entries:
            try:
                place = links if entry.is_symlink() else files
                if entry.is_symlink() or entry.is_file(follow_symlinks=False):
                    stat = entry.stat(follow_symlinks=False)
                    place.append(FileSeen(entry.name, stat.st_size, stat.st_blocks * 512, stat.st_mtime_ns))
            except OSError:
                continue  # deleted since it was listed
    return files, links


def _is_utf8(name: str) -> bool:
    """Whether a file name is UTF-8. Python keeps other bytes as surrogates, which cannot be encoded."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
