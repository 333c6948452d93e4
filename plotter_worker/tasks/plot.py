"""Tasks of the plotter's queue."""

from __future__ import annotations

import logging
import signal
from typing import Any

from celery import Task, shared_task
from celery.exceptions import Ignore
from kombu.exceptions import OperationalError

from common.errors import BrokerError, OrderRefused, PlotFailed
from common.model.messages import PlotOrder
from common.model.units import human_duration
from common.names import PLOT, is_task_id
from common.store import Board
from common.worker.pool import StopEvent, StopReason, stay_findable, stop_event
from plotter_worker.host.plotter_host import PlotterHost
from plotter_worker.jobs.job import A_PERSON, TrackedJob
from plotter_worker.jobs.order_checks import AlreadyTaken
from plotter_worker.jobs.records import Outcome
from plotter_worker.service import ServedPlotter, current, serving
from plotter_worker.tasks.progress import PAUSE_S, ProgressEvents

log = logging.getLogger(__name__)

# A task that hears nothing looks by itself: for what its plot is to take still, in minutes, and to tell of it
# again.
_LOOK_S = 60.0
_REDIS_PAUSE_S = 2.0


class PlotTask(Task):
    """A job is done with when Celery's backend has its result, and no earlier."""

    abstract = True

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:  # noqa: ARG002
        _reported(task_id, kwargs)

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:  # noqa: ARG002
        if isinstance(exc, PlotFailed):
            _reported(task_id, kwargs)


def _reported(task_id: str, kwargs: dict[str, Any]) -> None:
    host = current(kwargs["host"])
    if job := host.job(task_id):
        host.reported(job)


@shared_task(bind=True, base=PlotTask, name=PLOT, throws=(OrderRefused, PlotFailed))
def plot(self: Any, host: str, **order: Any) -> dict[str, Any]:
    """One plot, from its order to its end.

    host, and optionally tmp, dst: where (see common.model.messages.PlotOrder). Returns plot_id, k, path,
    phase_times_s, total_s, ...; of a plotter without a log only the reason why these are not known. Raises
    OrderRefused when nothing was started, PlotFailed with the last lines of the log when the plotter ended
    without its plot.
    """
    message = PlotOrder.read(host=host, **order)
    served = serving(host)
    plotter = served.plots
    task_id = self.request.id
    if not is_task_id(task_id):
        raise OrderRefused("The task's id is not one that can be kept.", "Leave it to Celery to make one.")
    try:
        job = plotter.claim(task_id)
        if job is None:
            if message.adopt:
                raise Ignore(f"job {task_id} is over and reported")
            job = plotter.take_order(task_id, message)
    except AlreadyTaken as error:
        raise Ignore(str(error)) from error  # the other task of this id tells how the plot ends
    except OrderRefused:
        _forget_order(served.board, host, task_id)
        raise
    try:
        outcome = _stand_for(self, served, job)
    finally:
        plotter.unclaim(job)
    if outcome.failed:
        raise PlotFailed(f"{outcome.reason}\n{outcome.tail}".strip())
    return outcome.result or {"plot_id": None, "path": None, "reason": outcome.reason}


def _forget_order(board: Board, host: str, task_id: str) -> None:
    """An order that is refused holds nobody up until it expires."""
    try:
        board.drop_orders(host, [task_id])
    except BrokerError as error:
        log.debug("the order expires by itself: %s", error)


def _stand_for(task: Any, served: ServedPlotter, job: TrackedJob) -> Outcome:
    """Report progress until the job has ended and Redis is there to take the result.

    Raises Ignore when this worker leaves (the plotter goes on, and its next worker takes the job up) or
    when a person terminates the plot.
    """
    plotter = served.plots
    event = stop_event(task.request.id)
    event.on_set(job.changed)
    events = ProgressEvents(task, job.record.started_at)
    seen, text = -1, progress_text(job)
    while job.outcome is None:
        _let_go_if_asked(event, plotter, job)
        stay_findable(task.request.id)
        seen = job.wait_change(seen, PAUSE_S if events.is_news(text) else _LOOK_S)
        text = progress_text(job)
        events.tell(text)
    while not _redis_is_there(served.board):
        _let_go_if_asked(event, plotter, job)
        event.wait(_REDIS_PAUSE_S)
    if job.killed_by == A_PERSON and not job.outcome.succeeded:
        _end_as_revoked(task)
        plotter.reported(job)
        raise Ignore("stopped by a person")
    return job.outcome


def _end_as_revoked(task: Any) -> None:
    """`plotter_worker.kill` ended the plot: its task looks as after Flower's Terminate."""
    task.backend.mark_as_revoked(task.request.id, "terminated", request=task.request, store_result=True)
    try:
        task.send_event("task-revoked", terminated=True, signum=int(signal.SIGTERM), expired=False)
    except (OperationalError, OSError) as error:
        log.debug("revocation not told: %s", error)


def _let_go_if_asked(event: StopEvent, plotter: PlotterHost, job: TrackedJob) -> None:
    if not event.is_set():
        return
    if event.reason is StopReason.TERMINATED:
        plotter.terminate(job)
        plotter.reported(job)
        raise Ignore("terminated")
    raise Ignore("this worker leaves; the plotter goes on")


def progress_text(job: TrackedJob) -> str:
    """What Flower shows of a running plot: `6b4e7375 phase 2:3 43% eta 1h 12m`."""
    notice = job.brief()
    plot_id = job.progress.plot_id
    parts = [plot_id[:8]] if plot_id else []
    parts.append(f"phase {notice.phase}" if notice.phase else "phase unknown")
    if notice.percent is not None:
        parts.append(f"{notice.percent:.0f}%")
    if notice.eta_s is not None:
        parts.append(f"eta {human_duration(notice.eta_s)}")
    if notice.stalled:
        parts.append(f"stalled: {notice.stalled}")
    return " ".join(parts)


def _redis_is_there(board: Board) -> bool:
    try:
        board.ping()
    except BrokerError:
        return False
    return True
