"""Calls tasks on hosts of the farm and waits for what they answer."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from common import config
from common.config.broker_url import broker_url
from common.errors import BrokerError, ExitCode, PlotmanError
from common.names import ROLE_OF_TASK, Role
from common.store.connection import readable_errors
from plotman.control.farm import NoSuchHost, board

if TYPE_CHECKING:
    from celery.result import AsyncResult

ANSWER_S = 10.0


class NotAllowed(PlotmanError):
    """The rights of this machine's Redis user do not go so far."""

    exit_code = ExitCode.UNREACHABLE


class NoAnswer(PlotmanError):
    """No such host, or it does not answer."""

    exit_code = ExitCode.UNREACHABLE


@dataclass(frozen=True)
class TaskCall:
    """A task that is called on `host`; kwargs: its arguments beside the host."""

    task: str
    host: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)


def plotters(host: str | None = None) -> list[str]:
    """The plotters meant: the named one, or all that are alive. Raises NoSuchHost, NobodyThere."""
    alive, known = those_of(Role.PLOTTER, host)
    if not alive:
        silent = f"The plotter of {host} is silent." if host else "No plotter answers."
        raise NoAnswer(silent, f"Start `plotman up` there ({', '.join(known)}).")
    return alive


def those_of(role: Role, host: str | None) -> tuple[list[str], list[str]]:
    """Of the named host, or of all that have the role: those that are alive, and all that were ever seen.
    Raises NoSuchHost where there is none, BrokerError."""
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
    """What `task` returns on `host`.

    Raises NobodyThere when no answer comes within `timeout_s` (a task that has not begun by then never
    does), NotAllowed, BrokerError, and whatever PlotmanError the task raises there.
    """
    (answer,) = ask_each([TaskCall(task, host, kwargs)], timeout_s=timeout_s)
    if isinstance(answer, PlotmanError):
        raise answer
    return answer


def ask_many(
    task: str, hosts: Iterable[str], *, timeout_s: float = ANSWER_S, **kwargs: Any
) -> dict[str, Any]:
    """Host -> what `task` returns there, or the PlotmanError that `ask` would raise. All are asked at once:
    it takes as long as the slowest, and never longer than `timeout_s`."""
    questions = [TaskCall(task, host, kwargs) for host in dict.fromkeys(hosts)]
    answers = ask_each(questions, timeout_s=timeout_s)
    return {question.host: answer for question, answer in zip(questions, answers, strict=True)}


def ask_each(questions: Iterable[TaskCall], *, timeout_s: float = ANSWER_S) -> list[Any]:
    """The answers to several questions in their order, each as in `ask_many`."""
    deadline = time.monotonic() + timeout_s
    url = broker_url(config.load())
    asked = [(question, _send(question, url, timeout_s)) for question in questions]
    return [_answer(question, sent, url, deadline, timeout_s) for question, sent in asked]


def _send(question: TaskCall, url: str, timeout_s: float) -> AsyncResult[Any] | PlotmanError:
    from plotman.app import app  # late: it takes half a second to import

    try:
        with _understood(question.host, url):
            kwargs = {"host": question.host, **question.kwargs}
            return app.send_task(question.task, kwargs=kwargs, expires=timeout_s)
    except PlotmanError as error:
        return error


def _answer(
    question: TaskCall, sent: AsyncResult[Any] | PlotmanError, url: str, deadline: float, timeout_s: float
) -> Any:
    if isinstance(sent, PlotmanError):
        return sent
    from celery.exceptions import NotRegistered, SecurityError
    from celery.exceptions import TimeoutError as TimedOut

    host = question.host
    try:
        with _understood(host, url):
            left_s = deadline - time.monotonic()
            if left_s <= 0 and not sent.ready():  # `get` would take a second to find that out
                raise TimedOut
            answer = sent.get(max(0.01, left_s), propagate=False)
    except TimedOut:
        role = ROLE_OF_TASK.get(question.task, "")
        return NoAnswer(
            f"The {role} worker of {host} did not answer within {timeout_s:.0f} s.",
            "Is `plotman up` running there?",
        )
    except PlotmanError as error:
        return error
    except (SecurityError, TypeError, ValueError):  # what Celery raises of a result that none of ours wrote
        return PlotmanError(
            f"The answer of {host} to {question.task} cannot be read.",
            "See who else may write to the farm's Redis, and whether both machines run the same plotman.",
        )
    with suppress(PlotmanError), _understood(host, url):
        sent.forget()  # it has been read; results of plots are kept, answers need not be
    if isinstance(answer, NotRegistered):
        return PlotmanError(f"The plotman on {host} does not know {question.task}.", "Upgrade it.")
    if isinstance(answer, BaseException) and not isinstance(answer, PlotmanError):
        what = " ".join(str(answer).split())
        return PlotmanError(
            f"{question.task} failed on {host}: {type(answer).__name__}: {what}.", "Its log there says more."
        )
    return answer


@contextmanager
def _understood(host: str, url: str) -> Iterator[None]:
    """Turn what Celery raises about the broker, which is at `url`, into NotAllowed or BrokerError."""
    from celery.exceptions import BackendError
    from kombu.exceptions import OperationalError

    try:
        with readable_errors(url):
            yield
    except (OperationalError, BrokerError) as error:
        if "permission" in str(error):
            raise NotAllowed(
                f"The user of farm.broker may not order {host}.",
                "Order from the scheduler's machine, or from the host itself.",
            ) from error
        if isinstance(error, BrokerError):
            raise
        raise BrokerError(f"The broker cannot be reached: {error}.", "Start `plotman up`.") from error
    except (RuntimeError, BackendError) as error:  # Celery's words for a result backend that went away
        raise BrokerError(
            f"The broker went away before {host} answered: {error}.", "Start it, then see what was done."
        ) from error
