"""Detects that a plotter directory's drive is no longer mounted.

If such a drive drops out, an empty folder of the system disk is left, and plots would fill that disk. A
harvester's drives must be mounted from the start. A plotter's directories may be plain folders: a mount that
was seen once is remembered, also after restarts.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from common.model.snapshot import DirState
from common.system import statefile
from common.system.mounts import is_mounted
from common.system.probe import DirReport
from common.system.probe import look as probe_directory


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
            content = _Kept(paths=tuple(sorted(paths)))
            statefile.keep(self._path, content, "which directories lie on drives of their own")
