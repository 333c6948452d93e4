"""The task of a plot, from its order to its end."""

from __future__ import annotations

import logging
import signal
from typing import Any

from celery import Task
from celery.exceptions import Ignore
from kombu.exceptions import OperationalError

from common.errors import BrokerError, OrderRefused, PlotFailed
from common.model.messages import PlotOrder
from common.model.snapshot import Job
from common.model.units import human_duration
from common.names import PLOT, is_task_id
from common.store import Board
from common.worker.pool import StopEvent, StopReason, stay_findable, stop_event
from common.worker.task import task
from plotter_worker.host.plotter_host import PlotterHost
from plotter_worker.jobs.job import AN_OPERATOR, TrackedJob
from plotter_worker.jobs.order_checks import AlreadyTaken
from plotter_worker.jobs.records import Outcome
from plotter_worker.service import ServedPlotter, current, serving
from plotter_worker.tasks.progress import PAUSE_S, ProgressEvents

log = logging.getLogger(__name__)

# Without changes the task reports by itself after this time: the ETA shrinks, and Flower may have restarted.
_REPORT_S = 60.0
_REDIS_PAUSE_S = 2.0


class PlotTask(Task):
    """Forgets a job as soon as Celery's backend has its result, and no earlier."""

    abstract = True

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:  # noqa: ARG002
        _reported(task_id, kwargs)

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:  # noqa: ARG002
        if isinstance(exc, PlotFailed):
            _reported(task_id, kwargs)


def _reported(task_id: str, kwargs: dict[str, Any]) -> None:
    plotter = current(kwargs["host"])
    if job := plotter.jobs.get(task_id):
        plotter.reported(job)


@task(PLOT, bind=True, base=PlotTask)
def plot(self: Any, order: PlotOrder) -> dict[str, Any]:
    """Make one plot.

    Returns:
        plot_id, k, path, phase_times_s, total_s, ...; for a plotter without a log `reason` instead.

    Raises:
        OrderRefused: nothing was started.
        PlotFailed: the plotter ended without its plot; has the last lines of the log.
    """
    served = serving(order.host)
    plotter = served.plotter
    task_id = self.request.id
    if not is_task_id(task_id):
        raise OrderRefused("The task's id cannot be the name of a file.", "Let Celery create the id.")
    try:
        job = plotter.jobs.claim(task_id)
        if job is None:
            if order.adopt:
                raise Ignore(f"job {task_id} has ended and is reported")
            job = plotter.take_order(task_id, order)
    except AlreadyTaken as error:
        raise Ignore(str(error)) from error  # the other task of this id reports the end
    except OrderRefused:
        _forget_order(served.board, order.host, task_id)
        raise
    try:
        outcome = _represent(self, served, job)
    finally:
        plotter.unclaim(job)
    if outcome.failed:
        raise PlotFailed(f"{outcome.reason}\n{outcome.tail}".strip())
    return outcome.result or {"plot_id": None, "path": None, "reason": outcome.reason}


def _forget_order(board: Board, host: str, task_id: str) -> None:
    """Delete a refused order from the board, where it counts as a running job until it expires."""
    try:
        board.drop_orders(host, [task_id])
    except BrokerError as error:
        log.debug("the order expires by itself: %s", error)


def _represent(task: Any, served: ServedPlotter, job: TrackedJob) -> Outcome:
    """Report progress until the job has ended and Redis can store the result.

    Raises:
        Ignore: this worker stops (the next one takes over the job), or an operator terminated the plot.
    """
    plotter = served.plotter
    event = stop_event(task.request.id)
    event.on_set(job.changed)
    events = ProgressEvents(task, job.record.started_at)
    seen, text = -1, progress_text(plotter.snapshot_of(job))
    while job.outcome is None:
        _stop_if_set(event, plotter, job)
        stay_findable(task.request.id)
        seen = job.wait_change(seen, PAUSE_S if events.is_new(text) else _REPORT_S)
        text = progress_text(plotter.snapshot_of(job))
        events.report(text)
    while not _redis_answers(served.board):
        _stop_if_set(event, plotter, job)
        event.wait(_REDIS_PAUSE_S)
    if job.killed_by == AN_OPERATOR and not job.outcome.succeeded:
        _end_as_revoked(task)
        plotter.reported(job)
        raise Ignore("stopped by an operator")
    return job.outcome


def _end_as_revoked(task: Any) -> None:
    """Give the task of a plot that `plotter_worker.kill` ended the same state as Flower's Terminate."""
    task.backend.mark_as_revoked(task.request.id, "terminated", request=task.request, store_result=True)
    try:
        task.send_event("task-revoked", terminated=True, signum=int(signal.SIGTERM), expired=False)
    except (OperationalError, OSError) as error:
        log.debug("the event of the revocation cannot be sent: %s", error)


def _stop_if_set(event: StopEvent, plotter: PlotterHost, job: TrackedJob) -> None:
    """End the task if its event is set, and the plot as well if an operator terminated it. Raises Ignore."""
    if not event.is_set():
        return
    if event.reason is StopReason.TERMINATED:
        plotter.terminate(job)
        plotter.reported(job)
        raise Ignore("terminated")
    raise Ignore("this worker stops; the plotter runs on")


def progress_text(job: Job) -> str:
    """Text for Flower: `6b4e7375 phase 2:3 43% eta 1h 12m`."""
    parts = [job.plot_id[:8]] if job.plot_id else []
    parts.append(f"phase {job.phase}" if job.phase else "phase unknown")
    if job.percent is not None:
        parts.append(f"{job.percent:.0f}%")
    if job.eta_s is not None:
        parts.append(f"eta {human_duration(job.eta_s)}")
    if job.stalled:
        parts.append(f"stalled: {job.stalled}")
    return " ".join(parts)


def _redis_answers(board: Board) -> bool:
    try:
        board.ping()
    except BrokerError:
        return False
    return True
