"""The jobs of a plotter host, each by the id of its task, and the turn at which the next may start."""

from __future__ import annotations

import threading
from collections import deque
from uuid import uuid4

from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.order_checks import AlreadyTaken
from plotter_worker.jobs.records import JobRecord, Records
from plotter_worker.processes.table import pid_of


class JobRegistry:
    """Running jobs, and those that ended and are not reported yet. `lock` is the host's."""

    def __init__(self, records: Records, lock: threading.RLock) -> None:
        self._records = records
        self._lock = lock
        self._jobs: dict[str, TrackedJob] = {}
        self._incarnation = uuid4().hex[:8]
        self._starts = 0
        self._taken: deque[str] = deque(maxlen=1000)  # ids of orders carried out

    @property
    def turn(self) -> str:
        """Changes with each job that starts here (common.model.snapshot.PlotterSnapshot)."""
        return f"{self._incarnation}:{self._starts}"

    def job(self, task_id: str) -> TrackedJob | None:
        return self._jobs.get(task_id)

    def all(self) -> list[TrackedJob]:
        with self._lock:
            return list(self._jobs.values())

    def running(self) -> list[TrackedJob]:
        """Those whose process has not ended."""
        return [job for job in self.all() if job.outcome is None]

    def pids(self) -> set[int]:
        return {pid_of(job.record.process) for job in self.all() if job.record.process}

    def claim(self, task_id: str) -> TrackedJob | None:
        """The job that this task stands for, if there is one. Raises AlreadyTaken where another task
        stands for it."""
        with self._lock:
            job = self._jobs.get(task_id)
            if job is not None and job.claimed:
                raise AlreadyTaken(f"Another task already stands for job {task_id}.", "")
            if job is not None:
                job.claimed = True
            return job

    def must_be_new(self, task_id: str) -> None:
        """Raises AlreadyTaken for an order that has been carried out."""
        if task_id in self._taken:
            raise AlreadyTaken(f"Order {task_id} has been carried out already.", "")

    def ordered(self, job: TrackedJob) -> None:
        """This job was just started by an order, whose task stands for it."""
        with self._lock:
            job.claimed = True
            self._taken.append(job.task_id)
            self.found(job)

    def found(self, job: TrackedJob) -> None:
        """This job runs; it takes a turn."""
        with self._lock:
            self._jobs[job.task_id] = job
            self._starts += 1

    def took_up(self, job: TrackedJob) -> None:
        """A former worker's job goes on."""
        self._jobs[job.task_id] = job

    def reported(self, job: TrackedJob) -> None:
        """Celery has this job's result: it is done with."""
        with self._lock:
            self._jobs.pop(job.task_id, None)
            self._records.remove(job.task_id)

    def keep(self, job: TrackedJob, record: JobRecord) -> None:
        """What is known of the job changed."""
        job.record = record
        self._records.keep(record)
