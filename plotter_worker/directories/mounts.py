"""Which of a plotter host's directories lie on a drive that is mounted.

Where such a drive drops out, an empty folder of the system's own disk is left, and plots would be made there
until that is full. A harvester's drives must be mounted from the start; a plotter's directories may be plain
folders, so that what was seen once is remembered, also over restarts.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from common.model.snapshot import DirState
from common.system import statefile
from common.system.mounts import is_mounted
from common.system.probe import DirReport, look


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    paths: tuple[str, ...] = ()


class MountedDirectories:
    """For several threads."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "mounted.json"
        self._lock = threading.Lock()
        kept = statefile.read(self._path, _Kept)
        self._paths = frozenset(kept.paths if kept else ())
        self._right: dict[str, int] = {}  # st_dev on which each was found to lie rightly

    def look(self, path: str) -> DirReport:
        """As common.system.probe.look; NOT_MOUNTED where a drive is gone that was there once. Reads the mount
        table only after the directory has moved to another file system."""
        report = look(path)
        if report.status is None or self._right.get(path) == report.status.st_dev:
            return report
        if is_mounted(path, report.status.st_dev):
            with self._lock:
                self._keep(self._paths | {path})
        elif path in self._paths:
            return DirReport(DirState.NOT_MOUNTED)
        self._right[path] = report.status.st_dev
        return report

    def keep_only(self, paths: Iterable[str]) -> None:
        """Forget the others: who names one of them again may mean a plain folder."""
        kept = frozenset(paths)
        with self._lock:
            self._keep(self._paths & kept)
            for path in self._right.keys() - kept:
                del self._right[path]

    def _keep(self, paths: frozenset[str]) -> None:
        if paths != self._paths:
            self._paths = paths
            content = _Kept(paths=tuple(sorted(paths)))
            statefile.keep(self._path, content, "which directories lie on drives of their own")
