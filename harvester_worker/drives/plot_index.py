"""On which drive each plot was taken in lately, kept on this machine's disk and not on the drive.

A drive that is pulled right after it took a plot in has the plot, though nobody can see it: while its source
waits to be deleted, the plot must not be sent to another drive, or it is farmed twice.
"""

from __future__ import annotations

import threading
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from common.system import statefile

_KEPT = 5000  # the latest; a source waits for minutes, not for so many plots


class _Places(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    drives: dict[str, str] = {}  # plot id -> drive, in the order in which they came


class PlotIndex:
    """file: None keeps nothing beyond this process."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._drives = ((file and statefile.read(file, _Places)) or _Places()).drives

    def drive_of(self, plot_id: str) -> str | None:
        with self._lock:
            return self._drives.get(plot_id)

    def put(self, plot_id: str, drive: str) -> None:
        """Durable when it returns; before the plot gets its name. Raises OSError, and then knows nothing."""
        with self._lock:
            if self._drives.get(plot_id) == drive:
                return
            kept = [(known, at) for known, at in self._drives.items() if known != plot_id]
            drives = dict([*kept, (plot_id, drive)][-_KEPT:])
            if self._file is not None:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                statefile.write(self._file, _Places(drives=drives))
            self._drives = drives
