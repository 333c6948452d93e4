"""A task's end in words, where Flower would show how Python writes it down."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from common import errors, names
from common.model.units import human_bytes, human_duration

_OURS = frozenset(
    kind.__name__
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.PlotmanError)
)


def format_task(task: Any) -> Any:
    """Flower's option `format_task`: takes a copy of celery.events.state.Task, and gives what is shown of it.

    A failure's result is why, with the last lines of the log; of a plot that is done it is what it became, in
    lines.
    """
    if task.exception and (said := complaint(task.exception)):
        task.result, task.exception, task.traceback = said, None, None
    elif task.state == "SUCCESS" and (lines := outcome(task.name, task.result)):
        task.result = lines
    return task


def complaint(exception: str) -> str | None:
    """What an error of ours says, from its repr, as Celery sends it; None for any other."""
    try:
        call = ast.parse(exception, mode="eval").body
    except SyntaxError:
        return None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        return None
    said = [part.value for part in call.args if isinstance(part, ast.Constant) and part.value]
    return "\n".join(map(str, said)) if call.func.id in _OURS and said else None


def outcome(name: str | None, result: str | None) -> str | None:
    """The dictionary that a task returned, from its repr, a line for each entry; None where it is none, or is
    too long for Celery to send it whole."""
    try:
        told = ast.literal_eval(result or "")
    except (SyntaxError, ValueError):
        return None
    if not isinstance(told, dict):
        return None
    lines = [f"{key}: {value}" for key, value in told.items() if value is not None]
    try:
        first = _SENTENCES[name](told) if name in _SENTENCES else None
    except (KeyError, TypeError):
        first = None  # of another version
    return "\n".join([first, *lines] if first else lines)


def _plot(told: dict[str, Any]) -> str:
    return f"k{told['k']} {told['plot_id'][:8]} in {human_duration(told['total_s'])}"


def _reserved(told: dict[str, Any]) -> str:
    return f"it lies on {told['drive']} already" if told.get("landed") else f"room on {told['drive']}"


def _sent(told: dict[str, Any]) -> str:
    sent_bytes, took_s = told["sent_bytes"], told["took_s"]
    rate = f" ({human_bytes(sent_bytes / took_s)}/s)" if took_s else ""
    drive = told["reservation"]["drive"]
    return f"{human_bytes(sent_bytes)} to {drive} in {human_duration(took_s)}{rate}"


_SENTENCES: dict[str | None, Callable[[dict[str, Any]], str]] = {
    names.PLOT: _plot,
    names.RESERVE: _reserved,
    names.TRANSFER: _sent,
    names.ADMIT: lambda told: f"{told['verified']}; on {told['reservation']['drive']}",
    names.RELEASE: lambda told: f"source deleted; on {told['reservation']['drive']}",
}
