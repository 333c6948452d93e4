"""On which drive each plot was taken in lately, kept on this machine's disk and not on the drive.

A drive that is pulled right after it took a plot in has the plot, though nobody can see it: while its source
waits to be deleted, the plot must not be sent to another drive, or it is farmed twice.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

log = logging.getLogger(__name__)

_KEPT = 5000  # the latest; a source waits for minutes, not for so many plots


class _Places(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    drives: dict[str, str] = {}  # plot id -> drive, in the order in which they came


class Landed:
    """file: None keeps nothing beyond this process."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._drives: dict[str, str] = {}
        if file is not None and file.exists():
            try:
                self._drives = dict(_Places.model_validate_json(file.read_bytes()).drives)
            except (ValidationError, OSError) as error:
                log.warning("%s is unreadable and is ignored: %s", file, error)

    def drive_of(self, plot_id: str) -> str | None:
        with self._lock:
            return self._drives.get(plot_id)

    def put(self, plot_id: str, drive: str) -> None:
        """Durable when it returns; before the plot gets its name. Raises OSError."""
        with self._lock:
            if self._drives.get(plot_id) == drive:
                return
            self._drives.pop(plot_id, None)
            self._drives[plot_id] = drive
            for oldest in list(self._drives)[:-_KEPT]:
                del self._drives[oldest]
            if self._file is not None:
                self._write(self._file)

    def _write(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".draft")
        with draft.open("w", encoding="utf-8") as out:
            out.write(_Places(drives=self._drives).model_dump_json())
            out.flush()
            os.fsync(out.fileno())
        draft.replace(file)
