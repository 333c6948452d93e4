"""The monitors of a plotter host's directories. They follow plotman.yaml while the worker runs.

A directory is retired when plotman.yaml no longer names it and it still holds plots or a running job. Its
plots are moved and its bytes counted until it is empty, also after a restart.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from common.config import Config
from common.model.snapshot import DirState
from common.system import statefile
from common.system.mounts import is_mounted
from common.system.probe import DirReport
from common.system.probe import look as probe_directory
from common.system.statefile import Stored
from plotter_worker.directories.monitor import DirectoryMonitor, DirectorySurvey


class _Paths(Stored):
    paths: tuple[str, ...] = ()


class MountedDirectories:
    """For several threads."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "mounted.json"
        self._lock = threading.Lock()
        kept = statefile.read(self._path, _Paths)
        self._paths = frozenset(kept.paths if kept else ())
        self._checked: dict[str, int] = {}  # path -> st_dev at which the mount was found right

    def probe(self, path: str) -> DirReport:
        """State and space of a directory; NOT_MOUNTED if it lay on a mounted drive before and does not now.

        Reads the mount table only after the directory has changed its file system.
        """
        report = probe_directory(path)
        if report.status is None or self._checked.get(path) == report.status.st_dev:
            return report
        if is_mounted(path, report.status.st_dev):
            with self._lock:
                self._keep(self._paths | {path})
        elif path in self._paths:
            return DirReport(DirState.NOT_MOUNTED)
        self._checked[path] = report.status.st_dev
        return report

    def keep_only(self, paths: Iterable[str]) -> None:
        """Forget all other paths: if one is configured again, it may be a plain folder."""
        kept = frozenset(paths)
        with self._lock:
            self._keep(self._paths & kept)
            for path in self._checked.keys() - kept:
                del self._checked[path]

    def _keep(self, paths: frozenset[str]) -> None:
        if paths != self._paths:
            self._paths = paths
            content = _Paths(paths=tuple(sorted(paths)))
            statefile.keep(self._path, content, "which directories lie on drives of their own")


def kept_plot_folders(state_dir: Path) -> tuple[str, ...]:
    """Directories whose plots could be moved when this host last ran. The archiver reads them, too."""
    kept = statefile.read(_path(state_dir), _Paths)
    return kept.paths if kept else ()


def plot_folders(settings: Config) -> tuple[str, ...]:
    """Directories in which finished plots lie, by plotman.yaml."""
    directories = settings.directories
    assert directories is not None
    return tuple(dict.fromkeys(folder for tmp in directories.tmp for folder in directories.dst_for(tmp)))


class DirectoryMonitors:
    """One monitor for each tmp, tmp2 and dst directory, retired ones included.

    Args:
        settings: plotman.yaml with a `directories` section.
        on_change: called in a monitor's thread when a survey differs from the last, with whether it may
            change a decision.
    """

    def __init__(self, settings: Config, on_change: Callable[[bool], None]) -> None:
        self._on_change = on_change
        self._lock = threading.Lock()
        self._started = False
        self._monitors: dict[str, DirectoryMonitor] = {}
        self._retired: frozenset[str] = frozenset()
        self._idle: frozenset[str] = frozenset()  # no longer configured, and empty at the last reload
        self._plot_folders: tuple[str, ...] = ()
        self._mounted = MountedDirectories(settings.state_dir)
        for path in kept_plot_folders(settings.state_dir):
            self._monitor(path, with_plots=True)
        self.reload(settings, frozenset())

    def start(self) -> None:
        self._started = True
        for monitor in self._all():
            monitor.start()

    def stop(self) -> None:
        for monitor in self._all():
            monitor.stop()

    def reload(self, settings: Config, used: frozenset[str]) -> None:
        """Monitor the directories of these settings. Call it every few seconds while there are retired ones.

        Args:
            used: directories of running jobs.
        """
        directories = settings.directories
        assert directories is not None
        with_plots = plot_folders(settings)
        named = dict.fromkeys(
            folder for folder in (*directories.tmp, directories.tmp2, *with_plots) if folder
        )
        with self._lock:
            unnamed = self._monitors.keys() - named.keys()
            busy = {path for path in unnamed if path in used or self._may_hold_plots(path)}
            # The last survey may have missed a plot made a moment ago: drop only what was idle twice.
            self._retired = frozenset(path for path in unnamed if path in busy or path not in self._idle)
            self._idle = frozenset(unnamed - busy)
            for path in unnamed - self._retired:
                self._monitors.pop(path).stop()
            for path in named:
                self._monitor(path, path in with_plots)
            kept = [path for path in self._monitors if path in self._retired]
            self._plot_folders = tuple(dict.fromkeys((*with_plots, *kept)))
            if self._plot_folders != kept_plot_folders(settings.state_dir):
                content = _Paths(paths=self._plot_folders)
                statefile.keep(_path(settings.state_dir), content, "which directories are to be emptied")
            self._mounted.keep_only(self._monitors)

    @property
    def plot_folders(self) -> tuple[str, ...]:
        """Directories whose finished plots may be moved."""
        return self._plot_folders

    @property
    def retired(self) -> frozenset[str]:
        """Directories that are no longer configured and not empty yet."""
        return self._retired

    def surveys(self) -> dict[str, DirectorySurvey]:
        """The last survey of each directory, by path."""
        return {monitor.path: monitor.survey for monitor in self._all()}

    def paths(self) -> list[str]:
        return [monitor.path for monitor in self._all()]

    def __contains__(self, path: object) -> bool:
        return path in self._monitors

    def refresh(self, only: Iterable[str | None] | None = None) -> None:
        """Survey these directories again, without waiting; None: all."""
        wanted = None if only is None else set(only)
        for monitor in self._all():
            if wanted is None or monitor.path in wanted:
                monitor.wake()

    def _all(self) -> list[DirectoryMonitor]:
        with self._lock:
            return list(self._monitors.values())

    def _may_hold_plots(self, path: str) -> bool:
        survey = self._monitors[path].survey
        return bool(survey.plots) or survey.report.state in (DirState.UNKNOWN, DirState.HANGING)

    def _monitor(self, path: str, with_plots: bool) -> None:
        monitor = self._monitors.get(path)
        if monitor is not None and monitor.with_plots == with_plots:
            return
        if monitor is not None:
            monitor.stop()
        monitor = DirectoryMonitor(path, with_plots, self._on_change, self._mounted.probe)
        self._monitors[path] = monitor
        if self._started:
            monitor.start()


def _path(state_dir: Path) -> Path:
    return state_dir / "plot-folders.json"
