"""What Flower shows of a task: its result in words, the question before Terminate, and how a plot ended."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Any

from common import errors, names
from common.model.snapshot import Event, Job, Transfer
from common.model.text import log_text, one_line
from common.model.units import human_bytes, human_duration
from common.names import Role
from plotman.control.farm import FarmState

_OURS = frozenset(
    kind.__name__
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.PlotmanError)
)
EVENTS = 1000  # the newest events; the end of a plot is searched among them
_ENDINGS = {"plot-killed": "Terminated", "plot-done": "Done", "plot-failed": "Failed", "plot-ended": "Ended"}


def format_task(task: Any) -> Any:
    """Flower's option `format_task`: changes a copy of celery.events.state.Task to what the page shows.

    The result of a failed task becomes the error with the last lines of the log; the result of a finished
    one, a line for each value.
    """
    if task.exception and (error := error_text(task.exception)):
        task.result, task.exception, task.traceback = error, None, None
    elif task.state == "SUCCESS" and (lines := outcome(task.name, task.result)):
        task.result = lines
    return task


def error_text(exception: str) -> str | None:
    """The text of a PlotmanError, from its repr, as Celery sends it; None for other errors."""
    try:
        call = ast.parse(exception, mode="eval").body
    except SyntaxError:
        return None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        return None
    parts = [part.value for part in call.args if isinstance(part, ast.Constant) and part.value]
    return "\n".join(log_text(str(part)) for part in parts) if call.func.id in _OURS and parts else None


def outcome(name: str | None, result: str | None) -> str | None:
    """The dictionary that a task returned, from its repr, a line for each entry. None if it is no dictionary,
    or if Celery cut it off."""
    try:
        values = ast.literal_eval(result or "")
    except (SyntaxError, ValueError):
        return None
    if not isinstance(values, dict):
        return None
    lines = [f"{key}: {value}" for key, value in values.items() if value is not None]
    try:
        first = _SENTENCES[name](values) if name in _SENTENCES else None
    except (KeyError, TypeError):
        first = None  # the result of another version
    return "\n".join(map(one_line, [first, *lines] if first else lines))


def _plot(values: dict[str, Any]) -> str:
    return f"k{values['k']} {values['plot_id'][:8]} in {human_duration(values['total_s'])}"


def _reserved(values: dict[str, Any]) -> str:
    return f"it lies on {values['drive']} already" if values.get("landed") else f"room on {values['drive']}"


def _sent(values: dict[str, Any]) -> str:
    sent_bytes, took_s = values["sent_bytes"], values["took_s"]
    if landed := values["reservation"].get("landed"):
        return f"nothing was sent: {landed} is there already"
    rate = f" ({human_bytes(sent_bytes / took_s)}/s)" if took_s else ""
    drive = values["reservation"]["drive"]
    return f"{human_bytes(sent_bytes)} to {drive} in {human_duration(took_s)}{rate}"


_SENTENCES: dict[str | None, Callable[[dict[str, Any]], str]] = {
    names.PLOT: _plot,
    names.RESERVE: _reserved,
    names.TRANSFER: _sent,
    names.ADMIT: lambda values: f"{values['verified']}; on {values['reservation']['drive']}",
    names.RELEASE: lambda values: f"source deleted; on {values['reservation']['drive']}",
}


@dataclass(frozen=True)
class Question:
    """facts: label and value of each line. follows: what Terminate does. button: its text."""

    title: str
    facts: tuple[tuple[str, str], ...]
    follows: str
    button: str


@dataclass(frozen=True)
class Ending:
    """How a plot ended, as a sentence."""

    text: str
    at: datetime


def question(task_id: str, name: str | None, farm: FarmState) -> Question:
    """The question before this task is terminated. name: of the task; None if Flower does not know it."""
    for host, job in farm.jobs():
        if job.task_id == task_id:
            return _of_plot(host, job, (Role.PLOTTER, host) in farm.stale)
    if name in (names.TRANSFER, names.ARCHIVE_TO_TARGET):
        return _of_transfer(_transfer(task_id, farm))
    follows = _FOLLOWS.get(name, _OF_OTHERS)
    return Question("Terminate this task?", (("Task", name or task_id),), follows, "Terminate")


def ending(task_id: str, events: Iterable[Event]) -> Ending | None:
    """The end of the plot of this task; None if no event reports one."""
    ends = [event for event in events if event.task_id == task_id and event.kind in _ENDINGS]
    if not ends:
        return None
    end = ends[-1]
    return Ending(f"{_ENDINGS[end.kind]} on {end.host}: {end.text}.", end.at)


_FOLLOWS: dict[str | None, str] = {
    names.PLOT: "No plotter reports this plot: it has not started, has just ended, or its host is unknown "
    "here. If it runs, it is killed and its unfinished files are deleted.",
    names.ADMIT: "The harvester stops checking this copy. The source is kept, and the move is retried.",
}
_OF_OTHERS = "This task is not stopped: it completes what it has begun. No plot is killed."


def _of_plot(host: str, job: Job, worker_down: bool) -> Question:
    plot_id = job.plot_id
    folders = dict.fromkeys(folder for folder in (job.tmp, job.tmp2, job.dst) if folder)
    phase = f"{job.phase or 'unknown'}" + (f", {job.percent:.0f} %" if job.percent is not None else "")
    facts = [
        ("Plot", f"{plot_id[:8]} ({plot_id})" if plot_id else f"no id yet, pid {job.pid}"),
        ("Host", host),
        ("Phase", phase),
        ("Deleted", f"unfinished files in {', '.join(folders) or 'unknown directories'}"),
        (
            "Size",
            f"{human_bytes(used)} when last measured" if (used := job.tmp_used_bytes) else "not measured yet",
        ),
    ]
    if not job.ours:
        facts.append(("Started", "by hand, or by another manager"))
    follows = "The plotter is killed and the plot's unfinished files are deleted. This cannot be undone."
    if worker_down:
        follows += f" The worker of {host} is down: the plot runs until the worker is up, and is killed then."
    return Question(
        f"Terminate plot {(plot_id or job.task_id)[:8]}?", tuple(facts), follows, "Terminate plot"
    )


def _transfer(task_id: str, farm: FarmState) -> tuple[str, Transfer] | None:
    """(host, transfer) of this task; None if the board does not have it."""
    for (host, path), move in farm.moves.items():
        archiver = farm.archivers.get(host)
        if move.task_id == task_id and archiver is not None:
            return next(((host, each) for each in archiver.transfers if each.path == path), None)
    return None


def _of_transfer(found: tuple[str, Transfer] | None) -> Question:
    follows = "The transfer stops. The source is kept, and the transfer is retried after a pause."
    button = "Stop transfer"
    if found is None:
        return Question("Stop this transfer?", (), follows, button)
    host, transfer = found
    percent = 100 * transfer.sent_bytes / transfer.size_bytes if transfer.size_bytes else 0
    plot_id = transfer.plot_id
    facts = (
        ("Plot", f"{plot_id[:8]} ({plot_id})" if plot_id else PurePath(transfer.path).name),
        ("Host", host),
        ("To", f"{transfer.harvester}:{transfer.drive}"),
        ("Sent", f"{percent:.0f} % of {human_bytes(transfer.size_bytes)}"),
    )
    return Question(f"Stop the transfer of {(plot_id or '')[:8] or facts[0][1]}?", facts, follows, button)
