"""How people name a plot in the making, everywhere in the farm: by the start of its id; by HOST:PID before it
has one; or by its task's id, as Flower shows it. A finished plot: by its path, its file's name or the start
of its id. Pure."""

from __future__ import annotations

from pathlib import PurePath

from common.model.plot_name import PlotName

EVERY = "all"
# Task ids are hexadecimal as well: shorter ones are taken for plot ids only.
_TASK_ID_DIGITS = 8


def fits(handle: str, host: str, pid: int, task_id: str, plot_id: str | None) -> bool:
    """Whether `handle` may mean this plot; several plots may fit. plot_id: None while it has none."""
    said = handle.strip().lower()
    if not said:
        return False
    if plot_id is not None and plot_id.startswith(said):
        return True
    if said == f"{host.lower()}:{pid}":
        return True
    return len(said) >= _TASK_ID_DIGITS and task_id.startswith(said)


def fits_file(handle: str, path: str) -> bool:
    """Whether `handle` may mean this finished plot; several may fit. path: of its file."""
    said, file_name = handle.strip(), PurePath(path).name
    if not said:
        return False
    name = PlotName.parse(file_name)
    return said in (path, file_name) or (name is not None and name.plot_id.startswith(said.lower()))
