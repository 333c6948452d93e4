"""The jobs of a plotter host by the ids of their tasks, and the start token that names the next start."""

from __future__ import annotations

import threading
from collections import deque
from uuid import uuid4

from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.order_checks import AlreadyTaken
from plotter_worker.jobs.records import JobRecord, Records
from plotter_worker.processes.table import pid_of


class JobRegistry:
    """Jobs that run, and jobs that ended and are not reported yet. `lock` is the host's."""

    def __init__(self, records: Records, lock: threading.RLock) -> None:
        self._records = records
        self._lock = lock
        self._jobs: dict[str, TrackedJob] = {}
        self._incarnation = uuid4().hex[:8]
        self._starts = 0
        self._taken: deque[str] = deque(maxlen=1000)  # ids of orders that were carried out
        self._made: deque[str] = deque(maxlen=1000)  # ids of plots of jobs that succeeded

    @property
    def start_token(self) -> str:
        """Changes with each job that starts here (common.model.snapshot.PlotterSnapshot)."""
        return f"{self._incarnation}:{self._starts}"

    def get(self, task_id: str) -> TrackedJob | None:
        return self._jobs.get(task_id)

    def all(self) -> list[TrackedJob]:
        with self._lock:
            return list(self._jobs.values())

    def running(self) -> list[TrackedJob]:
        """Jobs without an outcome, also of plotters that were started by hand."""
        return [job for job in self.all() if job.outcome is None]

    def pids(self) -> set[int]:
        return {pid_of(job.record.process) for job in self.all() if job.record.process}

    def plots_of_others(self, job: TrackedJob) -> set[str]:
        """Ids of plots that other jobs make, or made since this worker started."""
        making = (other.progress.plot_id for other in self.running() if other is not job)
        return {*self._made, *(plot_id for plot_id in making if plot_id)}

    def claim(self, task_id: str) -> TrackedJob | None:
        """The job that this task represents from now on, if there is one.

        Raises:
            AlreadyTaken: another task represents it.
        """
        with self._lock:
            job = self._jobs.get(task_id)
            if job is not None and job.claimed:
                raise AlreadyTaken(f"Another task already stands for job {task_id}.", "")
            if job is not None:
                job.claimed = True
            return job

    def must_be_new(self, task_id: str) -> None:
        """Raises AlreadyTaken for an order that was carried out."""
        if task_id in self._taken:
            raise AlreadyTaken(f"Order {task_id} has been carried out already.", "")

    def add_ordered(self, job: TrackedJob) -> None:
        """Add a job that an order just started; the order's task represents it."""
        with self._lock:
            job.claimed = True
            self._taken.append(job.task_id)
            self.add_found(job)

    def add_found(self, job: TrackedJob) -> None:
        """Add a job that just started; the start token changes."""
        with self._lock:
            self._jobs[job.task_id] = job
            self._starts += 1

    def add_restored(self, job: TrackedJob) -> None:
        """Add a job of a former worker."""
        with self._lock:
            self._jobs[job.task_id] = job

    def remove(self, job: TrackedJob) -> None:
        """Forget a job whose result Celery has, and delete its record."""
        with self._lock:
            self._jobs.pop(job.task_id, None)
            self._records.remove(job.task_id)

    def update(self, job: TrackedJob, record: JobRecord) -> None:
        """Replace the job's record, also on disk."""
        job.record = record
        self._records.keep(record)
        if record.outcome is not None and record.outcome.result is not None:
            self._made.extend(plot["plot_id"] for plot in record.outcome.result["plots"] if plot["plot_id"])
