"""Asks the disks below the drives for their health, each hour."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence

from common.model.snapshot import DirState, DiskHealth, Drive
from common.system import smart

log = logging.getLogger(__name__)

_EVERY_S = 3600.0
_DEADLINE_S = 30.0  # a disk that fails takes long to answer


class DisksHealth:
    """One thread. Without smartctl nothing is known. No method waits for a disk.

    drives: gives the drives of this host, with their devices. changed: called when something else is known.
    """

    def __init__(self, drives: Callable[[], Sequence[Drive]], changed: Callable[[], None]) -> None:
        self._drives = drives
        self._changed = changed
        self._known: dict[str, DiskHealth] = {}  # by device
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="disks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()

    def added_to(self, drives: Sequence[Drive]) -> tuple[Drive, ...]:
        """The drives with what is known of their disks."""
        known = self._known
        return tuple(
            drive.model_copy(update={"disk": known[drive.device]}) if drive.device in known else drive
            for drive in drives
        )

    def problems(self) -> Iterator[str]:
        """A sentence for each drive whose disk expects to fail."""
        for drive in self.added_to(self._drives()):
            if drive.disk is not None and drive.disk.fails:
                disk = ", ".join((*drive.disk.names, drive.disk.model or "of an unknown model"))
                yield f"the disk of {drive.path} ({disk}) says that it is about to fail: evacuate the drive"

    def look(self) -> None:
        """Ask all disks now. A disk that sleeps keeps its last answer."""
        program = smart.smartctl()
        if program is None:
            return
        devices = {
            drive.device
            for drive in self._drives()
            if drive.state is DirState.OK and drive.device is not None
        }
        known = {}
        for device in sorted(devices):
            if self._ending.is_set():
                return
            answer = smart.health(program, smart.disks_below(device), _DEADLINE_S) or self._known.get(device)
            if answer is not None:
                known[device] = answer
        if known != self._known:
            self._known = known
            self._changed()

    def _run(self) -> None:
        while True:
            try:
                self.look()
            except Exception:
                log.exception(
                    "the disks could not be asked for their health", extra={"action": "look-failed"}
                )
            if self._ending.wait(_EVERY_S):
                return
