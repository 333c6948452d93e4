"""How people name a plot in the making, everywhere in the farm: by the start of its id; by HOST:PID before it
has one; or by its task's id, as Flower shows it. Pure."""

from __future__ import annotations

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
