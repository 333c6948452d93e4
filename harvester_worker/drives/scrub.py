"""Scrub: reads every plot again, slowly, one at a time. Drives and cables corrupt bits silently, and a farmer
would notice only that plots never win."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from common.errors import DriveFailed
from common.model.snapshot import DirState
from common.system.probe import Hanging, Probe
from common.worker.move_step import StepInterrupted
from harvester_worker.drives import digests
from harvester_worker.drives.digests import DigestEntry, StoredDigest
from harvester_worker.drives.readback import compare, deadline_s
from harvester_worker.drives.registry import LOOK_S, DriveRegistry

log = logging.getLogger(__name__)

_PAUSE_S = 60.0
# Least time between two reads of one plot.
AGAIN_S = 7 * 86400.0


class Scrub:
    """One thread, which reads at most `rate_bytes_s`."""

    def __init__(
        self, drives: DriveRegistry, rate_bytes_s: float, on_damage: Callable[[str, str], None]
    ) -> None:
        """
        Args:
            rate_bytes_s: Bytes a second.
            on_damage: Called with a plot's path and what is wrong.
        """
        self._drives = drives
        self._rate_bytes_s = rate_bytes_s
        self._on_damage = on_damage
        self._reported: set[DigestEntry] = set()  # of damaged plots whose drive cannot remember it
        self._reads = Probe()  # one thread for each drive, so that a drive that hangs stops no other
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scrub", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._reads.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                found = self.once(time.time())
            except StepInterrupted:
                return
            except Exception:
                log.exception("the scrub failed, and is tried again", extra={"action": "scrub-failed"})
                found = False
            if not found:
                self._stop.wait(_PAUSE_S)

    def once(self, now_s: float) -> bool:
        """Read the plot that is longest overdue. now_s: Unix time. Returns False if none is due. Raises
        StepInterrupted on `stop`."""
        due = [
            kept for kept in self._known() if now_s - kept.checked_s > AGAIN_S and not self._is_damaged(kept)
        ]
        if not due:
            return False
        kept = min(due, key=lambda one: one.checked_s)
        limit_s = deadline_s(kept.entry.size_bytes) + 2 * kept.entry.size_bytes / self._rate_bytes_s
        try:
            self._reads.run(str(kept.plot.parent), lambda: self._read(kept), limit_s)
        except Hanging as error:
            log.warning("the scrub skips %s: %s", kept.plot, error, extra={"action": "scrub-hangs"})
            return False
        return True

    def _known(self) -> list[StoredDigest]:
        usable = [drive.path for drive in self._drives.published() if drive.state is DirState.OK]
        answers = self._reads.run_all(usable, _entries, LOOK_S)
        return [kept for answer in answers.values() if not isinstance(answer, Hanging) for kept in answer]

    def _is_damaged(self, kept: StoredDigest) -> bool:
        return kept.entry.suspect is not None or kept.entry in self._reported

    def _read(self, kept: StoredDigest) -> None:
        drive, name = str(kept.plot.parent), kept.plot.name
        try:
            compare(kept.plot, kept.entry.digest, self._stop, self._rate_bytes_s)
        except FileNotFoundError:
            return  # it was removed meanwhile
        except (DriveFailed, OSError) as error:
            log.error("%s is damaged: %s", kept.plot, error, extra={"action": "damaged"})
            self._on_damage(str(kept.plot), str(error))
            try:
                digests.write(drive, name, kept.entry.model_copy(update={"suspect": str(error)}))
            except OSError as unwritten:  # the drive fails, or is full
                log.warning("%s: the damage is reported again after a restart: %s", kept.plot, unwritten)
                self._reported.add(kept.entry)
            return
        with suppress(FileNotFoundError):  # it has left an evacuated drive
            digests.note_read(drive, name)
        log.info("%s was read back and is correct", kept.plot, extra={"action": "scrubbed"})


def _entries(drive: str) -> list[StoredDigest]:
    """All entries of a drive; none if it cannot be read, so that the others are scrubbed."""
    try:
        return digests.entries(drive)
    except OSError as error:
        log.warning("%s is not scrubbed: %s", drive, error, extra={"action": "scrub-passes"})
        return []
