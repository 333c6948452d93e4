"""Writes a plot's bytes to its drive while the transfer still runs, rather than all at its end.

Linux collects dirty pages up to a tenth of the memory before it writes any: the drive would first idle, and
then block everybody who writes. Pages that are on the drive are dropped from memory, where they would
displace what others read; nobody reads a plot that has just come.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from harvester_worker.drives.disk import forget_cached
from harvester_worker.drives.part_files import IDLE_S

log = logging.getLogger(__name__)

_EVERY_S = 0.5  # bytes of one interval remain to be flushed at the end


class Writeback:
    """One thread for each watched part, so that a drive that hangs blocks no other. It ends by itself when
    the part disappears or does not grow for IDLE_S. Nothing depends on it: the admission flushes each
    plot."""

    def __init__(self, every_s: float = _EVERY_S) -> None:
        self._every_s = every_s
        self._lock = threading.Lock()
        self._watched: dict[Path, threading.Event] = {}

    def watch(self, part: Path) -> None:
        """Write back this part as it grows. No-op if it is watched already."""
        with self._lock:
            if part in self._watched:
                return
            left = self._watched[part] = threading.Event()
        threading.Thread(target=self._run, args=(part, left), name=f"writeback {part}", daemon=True).start()

    def leave(self, part: Path) -> None:
        """Stop watching this part. Does not wait."""
        with self._lock:
            left = self._watched.pop(part, None)
        if left is not None:
            left.set()

    def stop(self) -> None:
        """Leave all parts."""
        for part in list(self._watched):
            self.leave(part)

    def _run(self, part: Path, left: threading.Event) -> None:
        grown_s, length_bytes = time.monotonic(), 0
        while not left.wait(self._every_s):
            try:
                now_bytes = part.stat().st_size
                if now_bytes != length_bytes:
                    grown_s, length_bytes = time.monotonic(), now_bytes
                    forget_cached(part)
            except OSError as error:
                log.debug("%s is not written back any more: %s", part, error)
                break
            if time.monotonic() - grown_s > IDLE_S:
                break
        with self._lock:
            if self._watched.get(part) is left:
                del self._watched[part]
