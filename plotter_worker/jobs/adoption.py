"""Gives each job a Celery task that represents it: under the id of its order, or for a plotter that was
started by hand under an id of its own."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5

from kombu.exceptions import OperationalError

from common.model.messages import PlotOrder
from common.names import PLOT
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.records import JobRecord
from plotter_worker.plotters.options import masked
from plotter_worker.processes.table import FoundPlotter

log = logging.getLogger(__name__)

# The message has no expiry: Celery treats the id of an expired message as revoked, and would run no other
# message with that id. A message that comes late, or twice, does nothing.
_AGAIN_S = 15.0

Send = Callable[..., object]


def found_task_id(host: str, process_identity: str) -> str:
    """Task id of a plotter that was started by hand; always the same for the same process."""
    return str(uuid5(NAMESPACE_URL, f"plotman:{host}:{process_identity}"))


def record_of(found: FoundPlotter, task_id: str, ours: bool) -> JobRecord:
    """The record of a plotter that was found running, without the values of secret options. ours: this
    plotman started it."""
    return JobRecord(
        task_id=task_id,
        plotter=found.plotter.name,
        ours=ours,
        accepted_at=datetime.now(UTC),
        argv=masked(found.argv, found.plotter.secret_options),
        log=found.log,
        tmp=found.command.tmp,
        tmp2=found.command.tmp2,
        dst=found.command.dst,
        gpu=found.gpu,
        process=found.identity,
        started_at=datetime.fromtimestamp(found.started_at_s, UTC),
    )


class Adoption:
    """Sends the messages in a thread of its own: Redis may be unreachable, and the watcher must not wait."""

    def __init__(self, host: str, send: Send) -> None:
        self._host = host
        self._send = send
        self._requested: queue.SimpleQueue[TrackedJob | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="adopt-jobs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._requested.put(None)

    def request(self, job: TrackedJob) -> None:
        """Request a task for a job that has none, unless one was requested less than 15 s ago."""
        now = time.monotonic()
        if not job.claimed and now >= job.adopt_after_s:
            job.adopt_after_s = now + _AGAIN_S
            self._requested.put(job)

    def postpone(self, job: TrackedJob) -> None:
        """Request no task for 15 s: it has the last task's id, and would overwrite its result."""
        job.adopt_after_s = time.monotonic() + _AGAIN_S

    def _run(self) -> None:
        while (job := self._requested.get()) is not None:
            if job.claimed:
                continue
            where = " ".join(part for part in (job.tmp, "->", job.dst) if part)
            try:
                self._send(
                    PLOT,
                    kwargs=PlotOrder(host=self._host, adopt=True).kwargs(),
                    task_id=job.task_id,
                    kwargsrepr=f"{self._host} {where}",
                    retry=False,
                )
            except (OperationalError, OSError) as error:
                log.info("no task for job %s yet, Redis is unreachable: %s", job.task_id, error)
