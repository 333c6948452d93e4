"""How users name a plot, anywhere in the farm. Pure.

A running plot: by the start of its id, by HOST:PID while it has none, or by the id of its task, as Flower
shows it. A finished plot: by its path, its file name or the start of its id.
"""

from __future__ import annotations

from pathlib import PurePath

from common.model.plot_name import PlotName

EVERY = "all"
# Task ids are hexadecimal as well: shorter ones are taken for plot ids only.
_TASK_ID_DIGITS = 8


def fits(selector: str, host: str, pid: int, task_id: str, plot_id: str | None) -> bool:
    """Whether `selector` may mean this running plot; several plots may fit. plot_id: None while it has
    none."""
    text = selector.strip().lower()
    if not text:
        return False
    if plot_id is not None and plot_id.startswith(text):
        return True
    if text == f"{host.lower()}:{pid}":
        return True
    return len(text) >= _TASK_ID_DIGITS and task_id.startswith(text)


def fits_file(selector: str, path: str) -> bool:
    """Whether `selector` may mean the finished plot in the file `path`; several plots may fit."""
    text, file_name = selector.strip(), PurePath(path).name
    if not text:
        return False
    name = PlotName.parse(file_name)
    return text in (path, file_name) or (name is not None and name.plot_id.startswith(text.lower()))
