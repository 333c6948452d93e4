"""Call tasks on hosts of the farm and wait for their answers."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from common.config.broker_url import broker_url
from common.errors import BrokerError, ExitCode, PlotmanError
from common.model.text import cleaned, one_line
from common.names import LOG, ROLE_OF_TASK, Role
from common.store.connection import readable_errors
from plotman.control import local
from plotman.control.answers import checked
from plotman.control.farm import NoSuchHost, board, settings

if TYPE_CHECKING:
    from celery.result import AsyncResult

ANSWER_S = 10.0


class NotAllowed(PlotmanError):
    """This machine's Redis user lacks the right."""

    exit_code = ExitCode.UNREACHABLE


class NoAnswer(PlotmanError):
    """No such host, or it does not answer."""

    exit_code = ExitCode.UNREACHABLE


@dataclass(frozen=True)
class TaskCall:
    """A task to be called on `host`; kwargs: its arguments beside the host."""

    task: str
    host: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)


def plotters(host: str | None = None) -> list[str]:
    """Return the named plotter, or all live ones. Raises NoSuchHost, NoAnswer."""
    alive, known = hosts_of(Role.PLOTTER, host)
    if not alive:
        silent = f"The plotter of {host} is silent." if host else "No plotter answers."
        raise NoAnswer(silent, f"Start `plotman up` there ({', '.join(known)}).")
    return alive


def hosts_of(role: Role, host: str | None) -> tuple[list[str], list[str]]:
    """Return (live hosts, all hosts ever seen) of a role, restricted to `host` unless that is None.

    Raises NoSuchHost if there is none, BrokerError.
    """
    known = board().last_words(role)
    if not known:
        raise NoSuchHost(f"No {role} was ever seen.", "Start `plotman up` on the machines of the farm.")
    if host is not None and host not in known:
        raise NoSuchHost(
            f"No {role} is called {host}.", f"Those that were ever seen: {', '.join(sorted(known))}."
        )
    meant = sorted(known) if host is None else [host]
    return [name for name in meant if known[name][1]], meant


def ask(task: str, host: str, *, timeout_s: float = ANSWER_S, **kwargs: Any) -> Any:
    """Call `task` on `host` and return its answer.

    Raises:
        NoAnswer: no answer within `timeout_s` seconds; a task that has not begun by then never does.
        NotAllowed, BrokerError, and each PlotmanError that the task raises there.
    """
    (answer,) = ask_each([TaskCall(task, host, kwargs)], timeout_s=timeout_s)
    if isinstance(answer, PlotmanError):
        raise answer
    return answer


def ask_many(
    task: str, hosts: Iterable[str], *, timeout_s: float = ANSWER_S, **kwargs: Any
) -> dict[str, Any]:
    """Call `task` on all hosts at the same time, for at most `timeout_s` seconds.

    Returns by host the answer, or the PlotmanError that `ask` would raise.
    """
    calls = [TaskCall(task, host, kwargs) for host in dict.fromkeys(hosts)]
    answers = ask_each(calls, timeout_s=timeout_s)
    return {call.host: answer for call, answer in zip(calls, answers, strict=True)}


def ask_each(questions: Iterable[TaskCall], *, timeout_s: float = ANSWER_S) -> list[Any]:
    """Make several calls at the same time; returns the answers in order, each as in `ask_many`."""
    calls = list(questions)
    own = {index for index, call in enumerate(calls) if local.serves(call.task, call.host)}
    answers = iter(_ask_others([call for index, call in enumerate(calls) if index not in own], timeout_s))
    return [
        _checked(call, local.answer(call.task, call.host, call.kwargs)) if index in own else next(answers)
        for index, call in enumerate(calls)
    ]


def _ask_others(calls: Sequence[TaskCall], timeout_s: float) -> list[Any]:
    if not calls:
        return []
    deadline = time.monotonic() + timeout_s
    url = broker_url(settings())
    sent = [(call, _send(call, url, timeout_s)) for call in calls]
    try:
        return [_answer(call, result, url, deadline, timeout_s) for call, result in sent]
    finally:
        _drop_unread()


class LongCall:
    """A call whose task ends long after it began. Its result stays in Redis."""

    def __init__(self, call: TaskCall, sent: AsyncResult[Any], url: str, timeout_s: float) -> None:
        self.task_id = str(sent.id)
        self._call, self._sent, self._url, self._timeout_s = call, sent, url, timeout_s

    def has_ended(self) -> bool:
        with _readable(self._call.host, self._url):
            return bool(self._sent.ready())

    def answer(self) -> Any:
        """Return the task's answer. Raises what `ask` raises; NoAnswer if there is none now."""
        answer = _wait(self._call, self._sent, self._url, time.monotonic(), self._timeout_s)
        if isinstance(answer, PlotmanError):
            raise answer
        return answer


@contextmanager
def sent_for_long(call: TaskCall, timeout_s: float) -> Iterator[LongCall]:
    """Send a call that its host must take within `timeout_s` seconds. Raises NotAllowed, BrokerError."""
    url = broker_url(settings())
    sent = _send(call, url, timeout_s)
    if isinstance(sent, PlotmanError):
        raise sent
    try:
        yield LongCall(call, sent, url, timeout_s)
    finally:
        with suppress(PlotmanError), _readable(call.host, url):
            sent.backend.result_consumer.cancel_for(sent.id)  # `forget` would delete the plot's result
        _drop_unread()


def hang_up() -> None:
    """Close the connections on which this thread waited for answers; for a thread that ends.

    Celery keeps them per thread, in reference cycles: without this they stay open until the next full
    garbage collection.
    """
    if (backend := _backend()) is not None:
        backend.result_consumer.stop()
        backend.client.connection_pool.disconnect()


def _drop_unread() -> None:
    """Drop the answers that Celery (5.7) keeps for later calls of this thread.

    It finds an answer by its key, or by a message, or both. It keeps each message that comes second, with
    its whole text, in case a caller asks for it: 8,192 of them, which are 250 MB for a fast log.
    """
    if (backend := _backend()) is not None:
        backend._pending_messages.clear()
        backend._pending_messages.total = 0


def _backend() -> Any:
    """This thread's result backend; None if it has not called a task yet."""
    module = sys.modules.get("plotman.control.app")
    return module.app._backend if module else None


def _send(call: TaskCall, url: str, timeout_s: float) -> AsyncResult[Any] | PlotmanError:
    from plotman.control.app import app  # late: it takes half a second to import

    task_id = str(uuid4())
    try:
        with _readable(call.host, url):
            kwargs = {"host": call.host, **call.kwargs}
            return app.send_task(call.task, kwargs=kwargs, expires=timeout_s, task_id=task_id)
    except PlotmanError as error:
        with suppress(PlotmanError), _readable(call.host, url):
            app.backend.result_consumer.cancel_for(task_id)  # Celery subscribes before it sends
        return error


def _answer(
    call: TaskCall, sent: AsyncResult[Any] | PlotmanError, url: str, deadline: float, timeout_s: float
) -> Any:
    if isinstance(sent, PlotmanError):
        return sent
    try:
        return _wait(call, sent, url, deadline, timeout_s)
    finally:
        with suppress(PlotmanError), _readable(call.host, url):
            sent.forget()  # unlike results of plots; without an answer, Celery would keep its subscription


def _wait(call: TaskCall, sent: AsyncResult[Any], url: str, deadline: float, timeout_s: float) -> Any:
    from celery.exceptions import NotRegistered
    from celery.exceptions import TimeoutError as TimedOut

    host = call.host
    try:
        with _readable(host, url):
            left_s = deadline - time.monotonic()
            if left_s <= 0 and not sent.ready():  # `get` would wait for another second
                raise TimedOut
            answer = sent.get(max(0.01, left_s), propagate=False)
    except TimedOut:
        role = ROLE_OF_TASK.get(call.task, "")
        return NoAnswer(
            f"The {role} worker of {host} did not answer within {timeout_s:.0f} s.",
            "Is `plotman up` running there?",
        )
    except PlotmanError as error:
        return error
    except ValueError as error:
        answer = error
    if isinstance(answer, ValueError):  # common.worker.results: no plotman wrote it
        return unreadable(call)
    if isinstance(answer, NotRegistered):
        return PlotmanError(f"The plotman on {host} does not know {call.task}.", "Upgrade it.")
    if isinstance(answer, BaseException) and not isinstance(answer, PlotmanError):
        what = one_line(" ".join(str(answer).split()))
        return PlotmanError(f"{call.task} failed on {host}: {what}.", "See its log there.")
    return _checked(call, answer)


def _checked(call: TaskCall, answer: Any) -> Any:
    try:
        answer = _cleaned(call.task, answer)
        return answer if isinstance(answer, PlotmanError) else checked(call.task, call.host, answer)
    except (ValueError, RecursionError):
        return unreadable(call)


def unreadable(call: TaskCall) -> PlotmanError:
    """Make the error for an answer that no plotman of this release writes."""
    return PlotmanError(
        f"The answer of {call.host} to {call.task} cannot be read.",
        "Check who else may write to the farm's Redis, and whether both machines run the same plotman.",
    )


def _cleaned(task: str, answer: Any) -> Any:
    """Escape control characters in an answer, so that no front end prints a line of another machine's. A log
    keeps its lines; what shows it cleans it."""
    if isinstance(answer, PlotmanError):
        answer.args = tuple(cleaned(answer.args))
        answer.what, answer.cure = cleaned(answer.what), cleaned(answer.cure)
        return answer
    if task == LOG and isinstance(answer, dict):
        return {**cleaned(answer), "text": answer.get("text", "")}
    return cleaned(answer)


@contextmanager
def _readable(host: str, url: str) -> Iterator[None]:
    """Turn Celery's errors about the broker at `url` into NotAllowed or BrokerError."""
    from celery.exceptions import BackendError
    from kombu.exceptions import OperationalError

    try:
        with readable_errors(url):
            yield
    except (OperationalError, BrokerError) as error:
        if "permission" in str(error):
            raise NotAllowed(
                f"The user of farm.broker may not send orders to {host}.",
                "Repeat this on the scheduler's machine: only its user in Redis may send orders.",
            ) from error
        if isinstance(error, BrokerError):
            raise
        raise BrokerError(f"The broker cannot be reached: {error}.", "Start `plotman up`.") from error
    except (RuntimeError, BackendError) as error:  # what Celery raises if the result backend is lost
        raise BrokerError(
            f"The broker was lost before {host} answered: {error}.", "Start it, then check what was done."
        ) from error
