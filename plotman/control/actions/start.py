"""Start one plot on a plotter, by an operator's order."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from common.errors import NoSuchPlot, PlotmanError
from common.names import DETAILS, PLOT
from plotman.control.farm import settings
from plotman.control.rpc import TaskCall, ask, plotters, sent_for_long

_STARTS_S = 20.0  # a plotter that checks its folders on a slow disk
_AGAIN_S = 0.2


def plotter_for(host: str | None) -> str:
    """Return the plotter that gets an order: the named one, else this machine's, else the farm's only one.

    Raises:
        NoSuchHost, NoAnswer: there is none, or it is silent.
        PlotmanError: the farm has several.
    """
    alive = plotters(host)
    own = settings().host
    if len(alive) == 1 or own in alive:
        return own if own in alive else alive[0]
    raise PlotmanError("The farm has several plotters.", f"Name one with --host: {', '.join(alive)}.")


def start_plot(host: str, tmp: str | None, dst: str | None) -> dict[str, Any]:
    """Order a plotter to start a plot, and wait until it has started, or is refused.

    Args:
        host: the plotter.
        tmp: one of its tmp directories; None: it chooses one.
        dst: the same for its dst directories.

    Returns:
        The facts of `plotman details`; of a plot that ended meanwhile, the task's result. Both have task_id.

    Raises:
        OrderRefused, PlotFailed: why no plot was made.
        NoAnswer: the plotter did not take the order in time; then it never does.
    """
    where = {key: path for key, path in (("tmp", tmp), ("dst", dst)) if path is not None}
    with sent_for_long(TaskCall(PLOT, host, where), _STARTS_S) as order:
        until_s = time.monotonic() + _STARTS_S
        while time.monotonic() < until_s:
            if order.has_ended():
                return {"host": host, **order.answer(), "task_id": order.task_id}
            with suppress(NoSuchPlot):
                return dict(ask(DETAILS, host, plot=order.task_id))
            time.sleep(_AGAIN_S)
        return dict(order.answer())
