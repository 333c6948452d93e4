"""Index of the drives on which plots were taken in lately, kept on this machine's own disk.

A drive that is pulled right after an admission has the plot, but cannot be read. While the source waits to be
deleted, the plot must not go to another drive: it would be farmed twice.
"""

from __future__ import annotations

import threading
from pathlib import Path

from pydantic import Field

from common.system import statefile
from common.system.statefile import Stored

_KEPT = 5000  # the latest; a source is deleted minutes after its admission


class _Places(Stored):
    drives: dict[str, str] = Field({})  # plot id -> drive, in the order of admission


class PlotIndex:
    """file: None: in memory only."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._drives = ((file and statefile.read(file, _Places)) or _Places()).drives

    def drive_of(self, plot_id: str) -> str | None:
        with self._lock:
            return self._drives.get(plot_id)

    def latest(self, most: int) -> tuple[str, ...]:
        """Ids of the plots that were taken in last, the latest last."""
        with self._lock:
            return tuple(self._drives)[-most:]

    def put(self, plot_id: str, drive: str) -> None:
        """Store a plot's drive durably; called before the plot gets its name. Raises OSError, and then stores
        nothing."""
        with self._lock:
            if self._drives.get(plot_id) == drive:
                return
            kept = [(known, at) for known, at in self._drives.items() if known != plot_id]
            self._write(dict([*kept, (plot_id, drive)][-_KEPT:]))

    def forget(self, plot_id: str) -> None:
        """Remove a plot that none of the drives has any more, durably. Raises OSError, and then keeps it."""
        with self._lock:
            if plot_id in self._drives:
                self._write({known: at for known, at in self._drives.items() if known != plot_id})

    def _write(self, drives: dict[str, str]) -> None:
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            statefile.write(self._file, _Places(drives=drives))
        self._drives = drives
