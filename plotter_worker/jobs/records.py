"""What is remembered of each job beside its process: enough to go on after a restart, or to judge it
when it ended while nobody watched."""

from __future__ import annotations

import logging
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

from common.history.rows import End
from common.names import is_task_id
from common.system import statefile

log = logging.getLogger(__name__)


class Outcome(BaseModel):
    """How a job ended.

    end: the same in the history's word; None in records of an earlier release.
    result: what the task returns when it succeeded; reason and tail: why not, and the log's last lines.
    """

    model_config = ConfigDict(frozen=True)

    succeeded: bool
    ended_at: AwareDatetime
    result: dict[str, Any] | None = None
    reason: str | None = None
    tail: str = ""
    end: End | None = None

    @property
    def failed(self) -> bool:
        """Whether a plot is known to be missing: not where nobody can tell how it ended."""
        return not self.succeeded and self.end is not End.UNKNOWN


class JobRecord(BaseModel):
    """One job. `process` (see processes.identity) is None between the order's acceptance and the start."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    task_id: str
    plotter: str
    ours: bool
    accepted_at: AwareDatetime
    argv: tuple[str, ...]
    log: str | None = None
    tmp: str | None = None
    tmp2: str | None = None
    dst: str | None = None
    process: str | None = None
    started_at: AwareDatetime | None = None  # of the process
    outcome: Outcome | None = None

    @property
    def began_at(self) -> datetime:
        """When its process started; where that is not known, when its order was accepted."""
        return self.started_at or self.accepted_at


class Records:
    """The records in a folder of the state directory, a file each.

    A record goes away when its outcome has been reported, so what is here is running or unreported.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, record: JobRecord) -> None:
        """Raises OSError where the state directory cannot be written to."""
        statefile.write(self._path(record.task_id), record)

    def keep(self, record: JobRecord) -> None:
        """Save it where that goes: what befalls a plotter is told also while the disk is full."""
        try:
            self.save(record)
        except OSError as error:
            log.error("what became of job %s cannot be remembered: %s", record.task_id, error)

    def remove(self, task_id: str) -> None:
        try:
            self._path(task_id).unlink(missing_ok=True)
        except OSError as error:
            log.error("the record of job %s cannot be removed: %s", task_id, error)

    def all(self) -> list[JobRecord]:
        """Every readable record, oldest first. Litter of an interrupted write is swept."""
        for part in self._folder.glob("*.part"):
            if time.time() - part.stat().st_mtime > 60:
                part.unlink(missing_ok=True)
        found = [statefile.read(path, JobRecord) for path in self._folder.glob("*.json")]
        return sorted((record for record in found if record), key=lambda record: record.accepted_at)

    def _path(self, task_id: str) -> Path:
        """Raises ValueError for an id that names another folder: it comes from a message."""
        if not is_task_id(task_id):
            raise ValueError("this task id cannot be the name of a file")
        return self._folder / f"{task_id}.json"
