"""Shares this host's bandwidth among the transfers that run, and gives each its share at once when the limit
or their number changes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from plotter_worker.archiving.transfer.pacing import available, pace

log = logging.getLogger(__name__)

_LOOK_S = 0.5


class Bandwidth:
    """limit: what all transfers may take together now, bytes a second; None: no limit. Asked twice a second
    while a transfer runs, so that whoever changes it need not know of us.
    """

    def __init__(self, limit: Callable[[], int | None]) -> None:
        self.limit = limit
        self.live = available()
        self._lock = threading.Lock()
        self._paced: dict[int, float | None] = {}  # pid -> rate it was told last
        self._all_paced = True
        self._begun = threading.Event()
        self._thread: threading.Thread | None = None

    def option(self) -> tuple[str, ...]:
        """What rsync must be told where its sockets cannot be paced; it holds for its whole run. A KiB/s
        at least: rsync takes 0 for no limit."""
        limit = self.limit()
        return () if limit is None else (f"--bwlimit={max(1, limit // 1024)}",)

    def follow(self, pid: int) -> None:
        """Pace this rsync until `leave`."""
        if not self.live:
            return
        with self._lock:
            self._paced[pid] = None
            self._begun.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="bandwidth", daemon=True)
                self._thread.start()

    def leave(self, pid: int) -> None:
        with self._lock:
            self._paced.pop(pid, None)

    def _run(self) -> None:
        while True:
            with self._lock:
                self._begun.clear()
                if not self._paced:
                    self._thread = None
                    return
                self._pace_all()
            # A connection is paced as soon as it is there, or a fast network gets a second's worth.
            self._begun.wait(_LOOK_S if self._all_paced else 0.02)

    def _pace_all(self) -> None:
        limit = self.limit()
        share = None if limit is None else limit / len(self._paced)
        self._all_paced = True
        for pid, rate in self._paced.items():
            if rate == share:
                continue
            try:
                if pace(pid, share):
                    self._paced[pid] = share
                else:
                    self._all_paced = False
            except OSError as error:
                log.warning("bandwidth cannot be limited: %s", error, extra={"action": "not-paced"})
                self._paced[pid] = share
