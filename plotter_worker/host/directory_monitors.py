"""The surveys of a plotter host's directories. They follow its plotman.yaml while the worker runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from common.config import Config
from common.model.snapshot import DirState
from plotter_worker.directories.monitor import DirectoryMonitor, DirectorySurvey
from plotter_worker.directories.mounts import MountedDirectories
from plotter_worker.directories.retired import former_folders, remember
from plotter_worker.host.snapshot import plot_folders


class DirectoryMonitors:
    """on_change is called in a survey's thread when a look differs from the last, with whether something is
    decided on that.

    A directory that is no longer configured is let go when no plot is made in it, goes there or lies there:
    until then its plots leave as before, and its bytes are counted, also after a restart.
    """

    def __init__(self, settings: Config, on_change: Callable[[bool], None]) -> None:
        self._on_change = on_change
        self._lock = threading.Lock()
        self._started = False
        self._surveys: dict[str, DirectoryMonitor] = {}
        self._leaving: frozenset[str] = frozenset()
        self._idle: frozenset[str] = frozenset()  # of those: where nothing was found to wait for
        self._plot_folders: tuple[str, ...] = ()
        self._mounted = MountedDirectories(settings.state_dir)
        for path in former_folders(settings.state_dir):
            self._begin(path, with_plots=True)
        self.follow(settings, frozenset())

    def start(self) -> None:
        self._started = True
        for survey in self._all():
            survey.start()

    def stop(self) -> None:
        for survey in self._all():
            survey.stop()

    def follow(self, settings: Config, used: frozenset[str]) -> None:
        """Look at what these settings name, and for a while at what else is `used` by running jobs. To be
        called again, some seconds later, while there is something in `leaving`."""
        directories = settings.directories
        assert directories is not None
        with_plots = plot_folders(settings)
        named = dict.fromkeys(
            folder for folder in (*directories.tmp, directories.tmp2, *with_plots) if folder
        )
        with self._lock:
            former = self._surveys.keys() - named.keys()
            busy = {path for path in former if path in used or self._may_hold_plots(path)}
            # A plot that was made this moment may not have been seen yet: only what was idle before as well.
            self._leaving = frozenset(path for path in former if path in busy or path not in self._idle)
            self._idle = frozenset(former - busy)
            for path in former - self._leaving:
                self._surveys.pop(path).stop()
            for path in named:
                self._begin(path, path in with_plots)
            kept = [path for path in self._surveys if path in self._leaving]
            self._plot_folders = tuple(dict.fromkeys((*with_plots, *kept)))
            remember(settings.state_dir, self._plot_folders)
            self._mounted.keep_only(self._surveys)

    @property
    def plot_folders(self) -> tuple[str, ...]:
        """Directories whose finished plots may leave."""
        return self._plot_folders

    @property
    def leaving(self) -> frozenset[str]:
        """Directories that are no longer configured, and not empty yet."""
        return self._leaving

    def seen(self) -> dict[str, DirectorySurvey]:
        """The last look at each directory."""
        return {survey.path: survey.seen for survey in self._all()}

    def paths(self) -> list[str]:
        return [survey.path for survey in self._all()]

    def __contains__(self, path: object) -> bool:
        return path in self._surveys

    def look_again(self, only: Iterable[str | None] | None = None) -> None:
        """Something changed in these directories; None: in any."""
        wanted = None if only is None else set(only)
        for survey in self._all():
            if wanted is None or survey.path in wanted:
                survey.wake()

    def _all(self) -> list[DirectoryMonitor]:
        with self._lock:
            return list(self._surveys.values())

    def _may_hold_plots(self, path: str) -> bool:
        seen = self._surveys[path].seen
        return bool(seen.plots) or seen.report.state in (DirState.UNKNOWN, DirState.HANGING)

    def _begin(self, path: str, with_plots: bool) -> None:
        survey = self._surveys.get(path)
        if survey is not None and survey.with_plots == with_plots:
            return
        if survey is not None:
            survey.stop()
        survey = self._surveys[path] = DirectoryMonitor(path, with_plots, self._on_change, self._mounted.look)
        if self._started:
            survey.start()
