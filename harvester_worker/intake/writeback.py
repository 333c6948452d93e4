"""Has a plot's bytes written to its drive while more of them come, rather than all at the end.

The kernel lets a tenth of the memory fill with what is to be written before it writes any of it: the drive
would idle first, and everybody who writes would wait for it afterwards. What is on the drive is dropped from
memory, where it would take the place of what others read; nobody reads a plot that has just come.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from harvester_worker.drives.disk import forget_cached
from harvester_worker.drives.part_files import IDLE_S

log = logging.getLogger(__name__)

_EVERY_S = 0.5  # what came meanwhile is what is left to be flushed at the end


class Writeback:
    """Follows parts. Each has a thread of its own, which ends by itself when the part is gone, or does not
    grow for long: a drive that hangs holds nobody up. Nothing depends on it: whoever takes a plot in flushes
    it."""

    def __init__(self, every_s: float = _EVERY_S) -> None:
        self._every_s = every_s
        self._lock = threading.Lock()
        self._followed: dict[Path, threading.Event] = {}

    def follow(self, part: Path) -> None:
        """This part is about to grow; whoever is followed already goes on."""
        with self._lock:
            if part in self._followed:
                return
            left = self._followed[part] = threading.Event()
        threading.Thread(target=self._run, args=(part, left), name=f"arriving {part}", daemon=True).start()

    def leave(self, part: Path) -> None:
        """All of it is there. Does not wait."""
        with self._lock:
            left = self._followed.pop(part, None)
        if left is not None:
            left.set()

    def stop(self) -> None:
        """Leave all."""
        for part in list(self._followed):
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
                log.debug("%s is followed no more: %s", part, error)
                break
            if time.monotonic() - grown_s > IDLE_S:
                break
        with self._lock:
            if self._followed.get(part) is left:
                del self._followed[part]
