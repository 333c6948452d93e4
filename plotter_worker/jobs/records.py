"""The stored record of each job: enough to watch it after a restart, or to judge it if it ended meanwhile."""

from __future__ import annotations

import logging
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, Field

from common.history.rows import End
from common.names import is_task_id
from common.system import statefile
from common.system.statefile import Stored

log = logging.getLogger(__name__)


class Outcome(Stored):
    """How a job ended.

    Attributes:
        result: what the task returns on success.
        reason, tail: on failure, the cause and the log's last lines; on success, where the plot is if that is
            not dst.
        end: the outcome as the history names it; None in records of an earlier release.
    """

    succeeded: bool
    ended_at: AwareDatetime
    result: dict[str, Any] | None = None
    reason: str | None = None
    tail: str = ""
    end: End | None = None

    @property
    def failed(self) -> bool:
        """Whether a plot is known to be missing. False if the end is unknown."""
        return not self.succeeded and self.end is not End.UNKNOWN


class JobRecord(Stored):
    """One job.

    Attributes:
        ours: this plotman started it.
        gpu: that it uses; empty: not known which; None: none.
        asked: plots that it is to make; None: only its command line tells it.
        process: identity of its process (processes.table); None between the acceptance and the launch.
        started_at: start of the process.
        idle_s: seconds for which it was suspended or waited for space, without those since `idle_since`.
        idle_since: since when it is so now.
        killed_by: who ends it; written before its processes are killed, so that its end is judged by it
            even if another process sees it.
        plots_reported: number of its complete plots that are in the history, and in events but for the last.
        shown_plot_id, shown_percent: the plot and its percent, as the last worker showed it.
    """

    task_id: str
    plotter: str
    ours: bool
    accepted_at: AwareDatetime
    argv: tuple[str, ...]
    log: str | None = None
    tmp: str | None = None
    tmp2: str | None = None
    dst: str | None = None
    gpu: str | None = None
    asked: int | None = None
    process: str | None = None
    started_at: AwareDatetime | None = None
    idle_s: float = 0.0
    idle_since: AwareDatetime | None = None
    killed_by: str | None = None
    plots_reported: int = 0
    shown_plot_id: str | None = None
    shown_percent: float = Field(0.0, ge=0, le=100)
    outcome: Outcome | None = None

    @property
    def began_at(self) -> datetime:
        """Start of the process; if unknown, when the order was accepted."""
        return self.started_at or self.accepted_at


class Records:
    """The records in a folder, a file each: of jobs that run or are not reported yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            statefile.private_folder(folder)
        except OSError as error:
            log.error("%s cannot be created: %s", folder, error)

    def save(self, record: JobRecord) -> None:
        """Write a record. Raises OSError if the state directory cannot be written to."""
        statefile.write(self._path(record.task_id), record)

    def keep(self, record: JobRecord) -> None:
        """Write a record if possible: a full disk must not hide what happens to a plotter."""
        try:
            self.save(record)
        except OSError as error:
            log.error("the record of job %s cannot be written: %s", record.task_id, error)

    def remove(self, task_id: str) -> None:
        try:
            self._path(task_id).unlink(missing_ok=True)
        except OSError as error:
            log.error("the record of job %s cannot be deleted: %s", task_id, error)

    def all(self) -> list[JobRecord]:
        """Every readable record, oldest first; none of a task id that is no UUID, which could not be written
        again. Deletes parts of interrupted writes."""
        for part in self._folder.glob("*.part"):
            if time.time() - part.stat().st_mtime > 60:
                part.unlink(missing_ok=True)
        found = [statefile.read(path, JobRecord) for path in self._folder.glob("*.json")]
        usable = (record for record in found if record and is_task_id(record.task_id))
        return sorted(usable, key=lambda record: record.accepted_at)

    def _path(self, task_id: str) -> Path:
        """Raises ValueError for an id that could name another folder: ids come from messages."""
        if not is_task_id(task_id):
            raise ValueError("this task id cannot be the name of a file")
        return self._folder / f"{task_id}.json"
