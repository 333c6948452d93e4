"""Knows a target's free space: asks its script now and then, in a thread, and whenever somebody wants."""

from __future__ import annotations

import logging
import logging.handlers
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psutil

from common.model.snapshot import TargetReport
from plotter_worker.archiving.targets.definition import ArchiveTarget
from plotter_worker.archiving.targets.running_transfers import running, words
from plotter_worker.archiving.targets.space_script import DEADLINE_S, SpaceAnswer, SpaceUnknown, ask

log = logging.getLogger(__name__)

ASK_EVERY_S = 30.0
_LOOK_EVERY_S = 2.0  # at a transfer that is not ours: its end is what the next plot waits for
_LOG_BYTES, _LOGS_KEPT = 10_000_000, 10  # as 0.5.3


class TargetSpaceMonitor:
    """changed: called when the report differs. owner: of the transfers that earlier archivers started."""

    def __init__(
        self,
        target: ArchiveTarget,
        owner: str,
        script_log: Path,
        changed: Callable[[], None],
        deadline_s: float = DEADLINE_S,
        every_s: float = ASK_EVERY_S,
    ) -> None:
        self._target = target
        self._owner = owner
        self._changed = changed
        self._deadline_s = deadline_s
        self._every_s = every_s
        self._script_log = _script_log(script_log)
        self._asking = threading.Lock()
        self._report = TargetReport(name=target.name, place=target.place)
        self._bad_lines: tuple[str, ...] = ()
        self._elsewhere: list[psutil.Process] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"target {target.name}", daemon=True)

    @property
    def report(self) -> TargetReport:
        """What is known now."""
        return self._report

    @property
    def problems(self) -> tuple[str, ...]:
        """What the target's owner should mend."""
        trouble = self._report.trouble
        return (
            *(f"Target {self._target.name}: {text}" for text in self._bad_lines),
            *filter(None, [trouble]),
        )

    def start(self) -> None:
        """Look for transfers that run, here and now, so that the first report has them; then go on in a
        thread."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def look(self) -> str | None:
        """A transfer that runs elsewhere, for people; None where there is none."""
        self._elsewhere = running(self._target.process_name, self._target.argument_prefix, self._owner)
        return self._say_elsewhere()

    def now(self) -> SpaceAnswer:
        """Ask the script in the caller's thread. Raises SpaceUnknown."""
        with self._asking:
            try:
                answer = ask(self._target.space, self._target.environment(), self._deadline_s)
            except SpaceUnknown as error:
                self._note(error.complaint)
                trouble = f"target {self._target.name}: {error}"
                if trouble != self._report.trouble:
                    log.warning("%s", trouble, extra={"action": "target-space-unknown"})
                self._put(spaces=(), trouble=trouble)
                raise
            self._note(answer.complaint)
            for line in set(answer.problems) - set(self._bad_lines):
                log.warning("target %s: %s", self._target.name, line)
            self._bad_lines = answer.problems
            self._put(spaces=answer.spaces, trouble=None, asked_at=datetime.now(UTC))
            return answer

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.now()
            except SpaceUnknown:
                pass  # it stands in the report
            except Exception:
                log.exception("asking the free space of target %s", self._target.name)
            self.look()
            rest_s = self._every_s
            while self._elsewhere and rest_s > 0 and not self._stopping.wait(_LOOK_EVERY_S):
                rest_s -= _LOOK_EVERY_S
                self._say_elsewhere()
            self._stopping.wait(max(rest_s, 0.1))

    def _say_elsewhere(self) -> str | None:
        said = words(self._elsewhere)
        if said is None:
            self._elsewhere = []
        if said != self._report.elsewhere:
            self._put(elsewhere=said)
        return said

    def _put(self, **changes: object) -> None:
        before = self._report
        self._report = before.model_copy(update=changes)
        if self._report != before:
            self._changed()

    def _note(self, complaint: bytes) -> None:
        for line in complaint.decode("utf-8", "replace").splitlines():
            self._script_log.info("%s: %s", self._target.name, line)


def _script_log(file: Path) -> logging.Logger:
    """The file that logging.disk_spaces names, for what the script writes to stderr."""
    written = logging.Logger("disk_spaces")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(
            file, maxBytes=_LOG_BYTES, backupCount=_LOGS_KEPT, delay=True, encoding="utf-8"
        )
    except OSError as error:
        log.warning("%s cannot be written (%s): mend logging.disk_spaces", file, error.strerror)
        return written
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    written.addHandler(handler)
    return written
