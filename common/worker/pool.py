"""A thread pool whose tasks can be asked to stop.

Celery 5.7's own thread pool cannot: revoke with terminate and a cold shutdown raise
NotImplementedError in it, and a warm shutdown waits for hours on a plot (celery issue 10490). Here a
long task waits on its `stop_event` and returns once that is set; the reason says whether an operator wants
the work stopped, or only this worker stops.

It also wakes the worker's main loop when a task has ended: otherwise a worker with one task at a time would
ask for the next one up to a second later.

Leans on Celery internals: `on_apply`'s correlation_id, that a request calls `terminate` on what
`on_apply` returned, and that revoke finds a task in `celery.worker.state.requests`.
tests/integration/common/worker/test_pool.py fails when these move.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from enum import Enum
from typing import Any

from celery import signals
from celery.concurrency.thread import ApplyResult
from celery.concurrency.thread import TaskPool as ThreadPool
from celery.worker import state


class StopReason(Enum):
    """Why a task is asked to stop."""

    SHUTDOWN = "shutdown"  # this worker stops; the work continues without it
    TERMINATED = "terminated"  # an operator wants the work itself stopped


class StopEvent:
    """Set once, with a reason."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._callbacks: list[Any] = []
        self.reason: StopReason | None = None

    def set(self, reason: StopReason) -> None:
        """Set the event; a later reason does not replace the first."""
        if self.reason is None:
            self.reason = reason
        self._event.set()
        for callback in list(self._callbacks):
            callback()

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout_s: float) -> bool:
        return self._event.wait(timeout_s)

    def on_set(self, callback: Any) -> None:
        """Call `callback` when set; for tasks that already wait for something else."""
        self._callbacks.append(callback)
        if self.is_set():
            callback()


# A message may come twice: its tasks share one event, which is dropped with the last of them.
_events: dict[str, StopEvent] = {}
_sharers: Counter[str] = Counter()
_lock = threading.Lock()


def stop_event(task_id: str) -> StopEvent:
    """The event of a running task; outside of a worker one that is never set."""
    return _events.get(task_id) or StopEvent()


def stay_findable(task_id: str) -> None:
    """Restore Celery's entry of this running task, which revoke needs: a second message with its id deletes
    the entry when it ends. Long tasks call this from time to time."""
    if task_id in state.requests:
        return
    try:
        found = next((request for request in state.active_requests if request.id == task_id), None)
    except RuntimeError:  # another thread began a task meanwhile
        return
    if found is not None:
        state.requests[task_id] = found


def _acquire(task_id: str) -> StopEvent:
    with _lock:
        _sharers[task_id] += 1
        return _events.setdefault(task_id, StopEvent())


def _release(task_id: str) -> None:
    with _lock:
        _sharers[task_id] -= 1
        if not _sharers[task_id]:
            del _sharers[task_id], _events[task_id]


@signals.task_revoked.connect(weak=False)
def _terminated(request: Any = None, terminated: bool = False, **_: Any) -> None:
    # Sent before the request terminates its job, so that this reason is the first.
    if terminated and request is not None and (event := _events.get(request.id)):
        event.set(StopReason.TERMINATED)


class _Job(ApplyResult):
    def __init__(self, future: Any, event: StopEvent) -> None:
        super().__init__(future)
        self._event = event

    def terminate(self, signum: int) -> None:  # noqa: ARG002  the signal is for processes
        self._event.set(StopReason.SHUTDOWN)


class TaskPool(ThreadPool):
    """Set as `worker_pool`; threads are made as they are needed, up to the concurrency."""

    signal_safe = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def register_with_event_loop(self, loop: Any) -> None:
        """Celery calls this with its main loop, at each connection to Redis."""
        loop.add_reader(self._wake_fd, os.eventfd_read, self._wake_fd)

    def _wake(self, *_: Any, **__: Any) -> None:
        """Wake the main loop; may be called from any thread."""
        os.eventfd_write(self._wake_fd, 1)

    def on_apply(
        self,
        target: Any,
        args: Any = None,
        kwargs: Any = None,
        callback: Any = None,
        accept_callback: Any = None,
        correlation_id: str = "",
        **options: Any,
    ) -> _Job:
        event = _acquire(correlation_id)
        future = super().on_apply(target, args, kwargs, callback, accept_callback, **options).f
        job = _Job(future, event)
        future.plotman_job = job  # the request keeps only a weak reference to it
        future.add_done_callback(lambda _: _release(correlation_id))
        future.add_done_callback(self._wake)
        return job

    def terminate_job(self, pid: int, signal: Any = None) -> None:
        """No-op: a request calls this, then its job's `terminate`, which sets the event."""

    def on_stop(self) -> None:
        for event in list(_events.values()):
            event.set(StopReason.SHUTDOWN)
        super().on_stop()
