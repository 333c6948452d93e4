"""Asks the disks below the drives for their health, each hour."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from common.model.snapshot import DirState, DiskHealth, Drive
from common.system import smart

log = logging.getLogger(__name__)

_EVERY_S = 3600.0
_SOON_S = 60.0  # while a drive is not known yet, as one that was just mounted
_KEPT = 24  # looks: a disk that is silent for longer is another, or sleeps through a day
_DEADLINE_S = 30.0  # a disk that fails takes long to answer


class DisksHealth:
    """One thread. Without smartctl nothing is known. No method waits for a disk.

    drives: gives the drives of this host, with their devices. changed: called when something else is known.
    """

    def __init__(self, drives: Callable[[], Sequence[Drive]], changed: Callable[[], None]) -> None:
        self._drives = drives
        self._changed = changed
        self._known: dict[str, DiskHealth] = {}  # by device
        self._answers: dict[str, DiskHealth] = {}  # by disk: its last one
        self._silent: Counter[str] = Counter()  # by disk: looks since then
        self._looked_at: frozenset[str] = frozenset()  # devices
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
        """Ask all disks now. A disk that sleeps keeps its last answer for a day."""
        program = smart.smartctl()
        if program is None:
            return
        devices = self._devices()
        disks = {device: smart.disks_below(device) for device in devices}
        for disk in sorted({disk for below in disks.values() for disk in below}):
            if self._ending.is_set():
                return
            answer = smart.ask(program, disk, _DEADLINE_S)
            if answer is not None:
                self._answers[disk] = answer
                del self._silent[disk]
                continue
            self._silent[disk] += 1
            if self._silent[disk] > _KEPT:
                self._answers.pop(disk, None)
        of_device = {
            device: smart.worst([self._answers[disk] for disk in below if disk in self._answers])
            for device, below in disks.items()
        }
        known = {device: health for device, health in of_device.items() if health is not None}
        self._looked_at = devices
        if known != self._known:
            self._known = known
            self._changed()

    def _devices(self) -> frozenset[str]:
        return frozenset(
            drive.device for drive in self._drives() if drive.state is DirState.OK and drive.device
        )

    def _run(self) -> None:
        while True:
            try:
                self.look()
            except Exception:
                log.exception(
                    "the disks could not be asked for their health", extra={"action": "look-failed"}
                )
            for _ in range(int(_EVERY_S / _SOON_S)):
                if self._ending.wait(_SOON_S):
                    return
                if not self._devices() <= self._looked_at:
                    break
