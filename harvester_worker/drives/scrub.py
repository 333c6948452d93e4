"""Reads every plot again, slowly, one after the other, for as long as the harvester runs: drives and cables
forget bits without telling, and a farmer hears of it only by plots that never win."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from common.errors import DriveFailed
from common.model.snapshot import DirState
from common.system.probe import Hanging, Probe
from common.worker.move_step import StepInterrupted
from harvester_worker.drives import digests
from harvester_worker.drives.digests import StoredDigests
from harvester_worker.drives.readback import compare, deadline_s
from harvester_worker.drives.registry import LOOK_S, DriveRegistry

log = logging.getLogger(__name__)

_PAUSE_S = 60.0
# A plot is not read again sooner, however few there are.
AGAIN_S = 7 * 86400.0


class Scrub:
    """One thread, which reads at most `rate_bytes_s`. tell: called with a plot's path and what is wrong."""

    def __init__(self, drives: DriveRegistry, rate_bytes_s: float, tell: Callable[[str, str], None]) -> None:
        self._drives = drives
        self._rate_bytes_s = rate_bytes_s
        self._tell = tell
        self._reads = Probe()  # in a thread of each drive's own: one that hangs stops no other
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
                log.exception("the scrub failed, and goes on later", extra={"action": "scrub-failed"})
                found = False
            if not found:
                self._stop.wait(_PAUSE_S)

    def once(self, now_s: float) -> bool:
        """Read the plot that was not read for longest; False where all were read not long ago. now_s: Unix
        time. Raises LetGo when stopped meanwhile."""
        due = [kept for kept in self._known() if now_s - kept.checked_s > AGAIN_S and not kept.entry.suspect]
        if not due:
            return False
        kept = min(due, key=lambda one: one.checked_s)
        limit_s = deadline_s(kept.entry.size_bytes) + 2 * kept.entry.size_bytes / self._rate_bytes_s
        try:
            self._reads.run(str(kept.plot.parent), lambda: self._read(kept), limit_s)
        except Hanging as error:
            log.warning("the scrub passes over %s: %s", kept.plot, error, extra={"action": "scrub-hangs"})
            return False
        return True

    def _known(self) -> list[StoredDigests]:
        usable = [drive.path for drive in self._drives.shown() if drive.state is DirState.OK]
        answers = self._reads.run_all(usable, _entries, LOOK_S)
        return [kept for answer in answers.values() if not isinstance(answer, Hanging) for kept in answer]

    def _read(self, kept: StoredDigests) -> None:
        drive, name = str(kept.plot.parent), kept.plot.name
        try:
            compare(kept.plot, kept.entry.digest, self._stop, self._rate_bytes_s)
        except FileNotFoundError:
            return  # somebody took it away meanwhile
        except (DriveFailed, OSError) as error:
            log.error("%s is damaged: %s", kept.plot, error, extra={"action": "damaged"})
            digests.write(drive, name, kept.entry.model_copy(update={"suspect": str(error)}))
            self._tell(str(kept.plot), str(error))
            return
        digests.checked(drive, name)
        log.info("%s was read back and is right", kept.plot, extra={"action": "scrubbed"})


def _entries(drive: str) -> list[StoredDigests]:
    """None of a drive that cannot be read: the others are scrubbed."""
    try:
        return digests.entries(drive)
    except OSError as error:
        log.warning("%s is not scrubbed: %s", drive, error, extra={"action": "scrub-passes"})
        return []
