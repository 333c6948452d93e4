"""Looks at single plots and stops, resumes or ends them, on whatever hosts they are made."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from common import names
from common.errors import ExitCode, ManyPlots, NoSuchPlot, PlotmanError
from plotman.control.farm import FarmState
from plotman.control.rpc import TaskCall, ask, ask_each, ask_many, plotters
from plotman.control.selectors import PlotSelection, candidates, resolve

_KILL_S = 60.0  # a host that has thousands of files to delete answers late
_LOG_WAIT_S = 20.0  # one long poll
_LOG_ANSWER_S = 15.0
_SEARCH_S = 20.0
_AGAIN_S = 2.0
_AWAY_S = 120.0  # how long a follower puts up with a host that is restarted


@dataclass(frozen=True)
class PlotAnswer:
    """What a host said about a plot: a mapping, or why it did not do it."""

    target: PlotSelection
    said: dict[str, Any] | PlotmanError

    def as_json(self) -> dict[str, Any]:
        if isinstance(self.said, PlotmanError):
            job = self.target.job
            known = {"host": self.target.host, "plot_id": job.plot_id, "task_id": job.task_id, "pid": job.pid}
            return {**known, "error": str(self.said)}
        return self.said


def details(targets: Sequence[PlotSelection]) -> list[PlotAnswer]:
    return _ask(names.DETAILS, targets)


def files(targets: Sequence[PlotSelection]) -> list[PlotAnswer]:
    return _ask(names.FILES, targets)


def suspend(targets: Sequence[PlotSelection]) -> list[PlotAnswer]:
    return _ask(names.SUSPEND, targets)


def resume(targets: Sequence[PlotSelection]) -> list[PlotAnswer]:
    return _ask(names.RESUME, targets)


def kill(targets: Sequence[PlotSelection]) -> list[PlotAnswer]:
    return _ask(names.KILL, targets, _KILL_S)


def _ask(task: str, targets: Sequence[PlotSelection], timeout_s: float = 15.0) -> list[PlotAnswer]:
    # The id of the job's task: unlike the plot's id it does not change while the person thinks.
    questions = [TaskCall(task, target.host, {"plot": target.job.task_id}) for target in targets]
    answers = ask_each(questions, timeout_s=timeout_s)
    return [PlotAnswer(target, said) for target, said in zip(targets, answers, strict=True)]


@dataclass(frozen=True)
class Log:
    """A log and a first piece of it. ended: there is no more."""

    host: str
    plot: str  # by which its host finds it again
    first: dict[str, Any]


def open_log(farm: FarmState, handle: str, host: str | None, tmp: str | None, lines: int | None) -> Log:
    """The log of a plot in the making, or of one that ended. lines: from the last so many on; None: all.

    Raises NoSuchPlot, ManyPlots, and what `ask` raises.
    """
    extra = {} if lines is None else {"lines": lines}
    try:
        running = resolve(farm, [handle], host, tmp)
    except NoSuchPlot as nowhere:
        if host is not None and host not in farm.plotters:
            raise
        return _ended_log(handle, plotters(host), extra, nowhere)
    if len(running) > 1:
        raise ManyPlots(
            f"{handle} names {len(running)} plots; logs shows one:\n" + "\n".join(candidates(running))
        )
    (target,) = running
    first = ask(names.LOG, target.host, plot=target.job.task_id, timeout_s=_LOG_ANSWER_S, **extra)
    return Log(target.host, target.job.task_id, first)


def _ended_log(handle: str, hosts: list[str], extra: dict[str, Any], nowhere: NoSuchPlot) -> Log:
    answers = ask_many(names.LOG, hosts, plot=handle, timeout_s=_SEARCH_S, **extra)
    having = {host: said for host, said in answers.items() if not isinstance(said, PlotmanError)}
    troubles = [said for said in answers.values() if isinstance(said, PlotmanError)]
    if len(having) == 1:
        ((host, first),) = having.items()
        return Log(host, first["plot_id"] or handle, first)
    if having:
        found = ", ".join(f"{first['plot_id']} on {host}" for host, first in having.items())
        raise ManyPlots(
            f"{handle} names several plots that ended: {found}.", "Give more of the id, or --host."
        )
    other = next((trouble for trouble in troubles if not isinstance(trouble, NoSuchPlot)), None)
    raise other or NoSuchPlot(nowhere.what.rstrip(".") + ", and no host has a log of it.", nowhere.cure)


def read_on(log: Log, follow: bool, said: Callable[[str], None]) -> Iterator[str]:
    """The log's text, piece by piece; follow: until the plot ends, as it is written. said: is told of a host
    that does not answer; it is borne for a while. Raises what `ask` raises."""
    piece, plot = log.first, log.plot
    while True:
        yield piece["text"]
        if piece["ended"] or (not piece["text"] and not follow):
            return
        try:
            piece = _next_piece(log.host, plot, piece, follow, said)
        except NoSuchPlot:
            if plot == piece["plot_id"] or piece["plot_id"] is None:
                raise
            plot = piece["plot_id"]  # it ended while its host's worker was restarted: found by its log
            piece = _next_piece(log.host, plot, piece, follow, said)


def _next_piece(
    host: str, plot: str, piece: dict[str, Any], follow: bool, said: Callable[[str], None]
) -> dict[str, Any]:
    wait_s = _LOG_WAIT_S if follow else 0.0
    deadline = time.monotonic() + _AWAY_S
    kwargs = {"plot": plot, "offset_bytes": piece["offset_bytes"], "wait_s": wait_s}
    while True:
        try:
            answer: dict[str, Any] = ask(names.LOG, host, timeout_s=wait_s + _LOG_ANSWER_S, **kwargs)
        except PlotmanError as error:
            if error.exit_code is not ExitCode.UNREACHABLE or not follow or time.monotonic() > deadline:
                raise
            said(f"{error} Trying again.")
            time.sleep(_AGAIN_S)
        else:
            return answer
