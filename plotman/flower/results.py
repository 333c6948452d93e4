"""Results of tasks in words, in place of the repr that Flower shows."""

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
    return "\n".join(map(str, parts)) if call.func.id in _OURS and parts else None


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
    return "\n".join([first, *lines] if first else lines)


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
