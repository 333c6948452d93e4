"""Details, files and logs of single plots; suspend, resume and kill them, on any host."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from common import names
from common.errors import ExitCode, ManyPlots, NoSuchPlot, PlotmanError
from common.model.text import log_text
from plotman.control.farm import FarmState
from plotman.control.rpc import TaskCall, ask, ask_each, ask_many, plotters
from plotman.control.selectors import PlotSelection, candidates, resolve

_KILL_S = 60.0  # a host that has thousands of files to delete answers late
_ANSWER_S = 15.0
_LOG_WAIT_S = 20.0  # one long poll
_SEARCH_S = 20.0
_AGAIN_S = 2.0
_AWAY_S = 120.0  # how long `logs -f` waits for a host that is restarted


@dataclass(frozen=True)
class PlotAnswer:
    """A host's answer about a plot: a mapping, or why it failed."""

    target: PlotSelection
    content: dict[str, Any] | PlotmanError

    def as_json(self) -> dict[str, Any]:
        if isinstance(self.content, PlotmanError):
            job = self.target.job
            known = {"host": self.target.host, "plot_id": job.plot_id, "task_id": job.task_id, "pid": job.pid}
            return {**known, "error": str(self.content)}
        return self.content


def ask_about(task: str, targets: Sequence[PlotSelection]) -> list[PlotAnswer]:
    """Call a task (names.DETAILS, FILES, SUSPEND, RESUME or KILL) for each of these plots on its host."""
    # The id of the job's task: unlike the plot's id, it does not change before the operator confirms.
    calls = [TaskCall(task, target.host, {"plot": target.job.task_id}) for target in targets]
    answers = ask_each(calls, timeout_s=_KILL_S if task == names.KILL else _ANSWER_S)
    return [PlotAnswer(target, answer) for target, answer in zip(targets, answers, strict=True)]


@dataclass(frozen=True)
class Log:
    """A log and its first piece. plot: selector by which its host finds it again."""

    host: str
    plot: str
    first: dict[str, Any]


def open_log(farm: FarmState, selector: str, host: str | None, tmp: str | None, lines: int | None) -> Log:
    """Open the log of a running plot, or of one that has ended.

    Args:
        selector: start of the plot's id, HOST:PID, or start of its task's id.
        host: only on this plotter; tmp: only in this directory.
        lines: number of lines from the end; None: all.

    Raises NoSuchPlot, ManyPlots, and what `ask` raises.
    """
    extra = {} if lines is None else {"lines": lines}
    try:
        running = resolve(farm, [selector], host, tmp)
    except NoSuchPlot as nowhere:
        if host is not None and host not in farm.plotters:
            raise
        return _ended_log(selector, plotters(host), extra, nowhere)
    if len(running) > 1:
        raise ManyPlots(
            f"{selector} names {len(running)} plots; logs shows one:\n" + "\n".join(candidates(running))
        )
    (target,) = running
    return log_of(target, lines)


def log_of(target: PlotSelection, lines: int | None) -> Log:
    """The log of exactly this running plot. lines: number of lines from the end; None: all."""
    extra = {} if lines is None else {"lines": lines}
    first = ask(names.LOG, target.host, plot=target.job.task_id, timeout_s=_ANSWER_S, **extra)
    return Log(target.host, target.job.task_id, first)


def _ended_log(selector: str, hosts: list[str], extra: dict[str, Any], nowhere: NoSuchPlot) -> Log:
    answers = ask_many(names.LOG, hosts, plot=selector, timeout_s=_SEARCH_S, **extra)
    having = {host: answer for host, answer in answers.items() if not isinstance(answer, PlotmanError)}
    troubles = [answer for answer in answers.values() if isinstance(answer, PlotmanError)]
    if len(having) == 1:
        ((host, first),) = having.items()
        return Log(host, first["plot_id"] or selector, first)
    if having:
        found = ", ".join(f"{first['plot_id']} on {host}" for host, first in having.items())
        raise ManyPlots(
            f"{selector} names several plots that ended: {found}.", "Give more of the id, or --host."
        )
    other = next((trouble for trouble in troubles if not isinstance(trouble, NoSuchPlot)), None)
    raise other or NoSuchPlot(nowhere.what.rstrip(".") + ", and no host has a log of it.", nowhere.cure)


def read_on(log: Log, follow: bool, warn: Callable[[str], None]) -> Iterator[str]:
    """Yield the log's text, piece by piece.

    Raises what `ask` raises; for a host that does not answer, only after two minutes.

    follow: wait for more until the plot ends. warn: called with a sentence each time the host does not
    answer; then it is asked again.
    """
    piece, plot = log.first, log.plot
    while True:
        yield log_text(piece["text"])
        if piece["ended"] or (not piece["text"] and not follow):
            return
        try:
            piece = _next_piece(log.host, plot, piece, follow, warn)
        except NoSuchPlot:
            if plot == piece["plot_id"] or piece["plot_id"] is None:
                raise
            plot = piece["plot_id"]  # it ended while its host's worker was restarted: found by its log
            piece = _next_piece(log.host, plot, piece, follow, warn)


def _next_piece(
    host: str, plot: str, piece: dict[str, Any], follow: bool, warn: Callable[[str], None]
) -> dict[str, Any]:
    wait_s = _LOG_WAIT_S if follow else 0.0
    deadline = time.monotonic() + _AWAY_S
    kwargs = {"plot": plot, "offset_bytes": piece["offset_bytes"], "wait_s": wait_s}
    while True:
        try:
            answer: dict[str, Any] = ask(names.LOG, host, timeout_s=wait_s + _ANSWER_S, **kwargs)
        except PlotmanError as error:
            if error.exit_code is not ExitCode.UNREACHABLE or not follow or time.monotonic() > deadline:
                raise
            warn(f"{error} Trying again.")
            time.sleep(_AGAIN_S)
        else:
            return answer
