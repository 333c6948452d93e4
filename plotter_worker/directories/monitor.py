"""Keeps an eye on the tmp and dst directories. Each has a thread of its own: a dead drive stops nobody."""

from __future__ import annotations

import logging
import os
import selectors
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from inotify_simple import INotify, flags

from common.model.plot_name import is_alike
from common.model.snapshot import DirState, FinishedPlot, PlotState
from common.system.plotfile import classify, printable
from common.system.probe import LOOK_DEADLINE_S, DirReport, look

log = logging.getLogger(__name__)

_REFRESH_S = 10.0
_OPEN_REFRESH_S = 1.0  # while somebody still writes a plot here: nothing tells when it is closed
_ROOM_STEP_BYTES = 1_000_000_000
_PAUSE_S = 0.05  # between two looks, however much happens
_WATCHED = flags.CREATE | flags.MOVED_TO | flags.MOVED_FROM | flags.DELETE | flags.CLOSE_WRITE


_NOT_YET = DirReport(DirState.UNKNOWN)


@dataclass(frozen=True)
class FileSeen:
    """allocated_bytes: what it takes of the drive; sparse and preallocated files differ from their size.
    mtime_ns: of its last change; 0: not known."""

    name: str
    size_bytes: int
    allocated_bytes: int
    mtime_ns: int = 0


@dataclass(frozen=True)
class DirectorySurvey:
    """One look at a directory. `plots` is empty where only room matters."""

    report: DirReport = _NOT_YET
    files: tuple[FileSeen, ...] = ()
    plots: tuple[FinishedPlot, ...] = ()


def matters(former: DirectorySurvey, now: DirectorySurvey) -> bool:
    """Whether something is decided on that differs between two looks: its state, its plots, or room that came
    free. Room changes a little all the time where plots are made; that is told with the next renewal."""
    if former.plots != now.plots or replace(former.report, free_bytes=None) != replace(
        now.report, free_bytes=None
    ):
        return True
    return (now.report.free_bytes or 0) - (former.report.free_bytes or 0) >= _ROOM_STEP_BYTES


@dataclass
class _Known:
    state: PlotState
    since: datetime
    fingerprint: tuple[int, int] = field(default=(0, 0))
    plot: FinishedPlot | None = None


class DirectoryMonitor:
    """One directory. `on_change` is called in the survey's thread when a look differs from the last: with
    whether something is decided on that (`matters`). look: as common.system.probe.look."""

    def __init__(
        self,
        path: str,
        with_plots: bool,
        on_change: Callable[[bool], None],
        look: Callable[[str], DirReport] = look,
    ) -> None:
        self.path = path
        self.with_plots = with_plots
        self._on_change = on_change
        self._report = look
        self._seen = DirectorySurvey()
        self._known: dict[str, _Known] = {}
        self._unnameable: set[str] = set()  # names that the log has told of
        self._busy_since: float | None = None
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"survey {path}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self.wake()

    def wake(self) -> None:
        """Look again now."""
        os.eventfd_write(self._wake_fd, 1)

    @property
    def seen(self) -> DirectorySurvey:
        """The last look; HANGING, with nothing known of it, while one is overdue."""
        busy_since = self._busy_since
        if busy_since is not None and time.monotonic() - busy_since > LOOK_DEADLINE_S:
            return DirectorySurvey(DirReport(DirState.HANGING))
        return self._seen

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_fd, selectors.EVENT_READ)
            inotify: INotify | None = None
            while not self._stopping:
                self._busy_since = time.monotonic()
                if inotify is None and self.with_plots:
                    inotify = self._watch(selector)
                seen = self._look()
                self._busy_since = None
                if inotify is not None and _another(self._seen.report, seen.report):
                    selector.unregister(inotify.fd)
                    inotify.close()
                    inotify = None  # what comes back under this name is another directory
                if seen != self._seen:
                    former, self._seen = self._seen, seen
                    self._tell(matters(former, seen))
                looked = time.monotonic()
                if selector.select(self._rest_s()):
                    time.sleep(max(0.0, looked + _PAUSE_S - time.monotonic()))
                self._drain(inotify)
            if inotify is not None:
                inotify.close()

    def _tell(self, matter: bool) -> None:
        try:
            self._on_change(matter)
        except Exception:
            # The next looks must be seen, whatever is wrong with what was made of this one.
            log.exception("what changed in %s could not be told", self.path)

    def _rest_s(self) -> float:
        writing = any(plot.state is PlotState.OPEN for plot in self._seen.plots)
        return _OPEN_REFRESH_S if writing else _REFRESH_S

    def _drain(self, inotify: INotify | None) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake_fd)
        if inotify is not None:
            inotify.read(timeout=0)

    def _watch(self, selector: selectors.BaseSelector) -> INotify | None:
        """Be woken by what happens in the directory; None where it cannot be watched now."""
        try:
            inotify = INotify(nonblocking=True)
        except OSError as error:  # a user may have 128 of them, see inotify(7)
            log.debug("%s is looked at every few seconds only: %s", self.path, error)
            return None
        try:
            inotify.add_watch(self.path, _WATCHED)
        except OSError:
            inotify.close()
            return None
        selector.register(inotify.fd, selectors.EVENT_READ)
        return inotify

    def _look(self) -> DirectorySurvey:
        report = self._report(self.path)
        try:
            files, links = _files(self.path)
        except OSError:
            return DirectorySurvey(report)  # the report says what is the matter
        named = tuple(sorted(self._nameable(files), key=lambda file: file.name))
        return DirectorySurvey(report, named, self._plots([*files, *links]) if self.with_plots else ())

    def _nameable(self, files: Iterable[FileSeen]) -> list[FileSeen]:
        """Those whose names are UTF-8, as those of plotters' files are. Others could be told to nobody, and
        would keep all else from being told; the log names them, once."""
        named = []
        for file in files:
            if _is_utf8(file.name):
                named.append(file)
            elif file.name not in self._unnameable:
                self._unnameable.add(file.name)
                log.warning("%s: %r is left alone, its name is no UTF-8", self.path, file.name)
        return named

    def _plots(self, files: Iterable[FileSeen]) -> tuple[FinishedPlot, ...]:
        named = sorted((file for file in files if is_alike(file.name)), key=lambda file: file.name)
        plots = [plot for file in named if (plot := self._plot(file)) is not None]
        gone = self._known.keys() - {file.name for file in named}
        for name in gone:
            del self._known[name]
        return tuple(plots)

    def _plot(self, file: FileSeen) -> FinishedPlot | None:
        path = Path(self.path, file.name)
        now = datetime.now(UTC)
        try:
            fingerprint = (file.size_bytes, path.lstat().st_mtime_ns)
            known = self._known.get(file.name)
            if (
                known
                and known.plot
                and known.fingerprint == fingerprint
                and known.state is not PlotState.OPEN
            ):
                return known.plot
            state, reason, name, size_bytes = classify(path, now)
        except OSError:
            return None  # gone since it was listed
        since = known.since if known and known.state is state else now
        plot = FinishedPlot(
            path=printable(str(path)),
            size_bytes=size_bytes,
            state=state,
            since=since,
            plot_id=name.plot_id if name else None,
            k=name.k if name else None,
            reason=reason,
        )
        self._known[file.name] = _Known(state, since, fingerprint, plot)
        return plot


def _another(former: DirReport, now: DirReport) -> bool:
    """Whether it is gone, or lies on another drive than a moment ago."""
    return now.device is None or former.device not in (None, now.device)


def _files(path: str) -> tuple[list[FileSeen], list[FileSeen]]:
    """The regular files, and the links, whose sizes are those of the links themselves. Raises OSError."""
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
                continue  # gone since it was listed
    return files, links


def _is_utf8(name: str) -> bool:
    """Whether a name of this machine is UTF-8: Python keeps other bytes as surrogates, which are none."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
