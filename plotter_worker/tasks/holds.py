"""Tasks by which operators pause and drain a plotter host and its directories, and lift these holds."""

from __future__ import annotations

from typing import Any

from common import names
from common.errors import OrderRefused
from common.model import holds
from common.model.holds import HoldOrder, LiftOrder
from common.model.units import counted
from common.worker.task import task
from plotter_worker.host.plotter_host import PlotterHost
from plotter_worker.service import current


@task(names.PAUSE)
def pause(order: HoldOrder) -> str:
    """Start no more plots on the host, or no more transfers; running ones continue.

    Returns:
        A sentence.
    """
    if order.dir is not None:
        raise OrderRefused("A directory is drained, not paused.", "Call plotter_worker.drain.")
    if order.what == holds.ARCHIVING:
        text = "begins no more transfers"
    elif not order.after:
        text = "starts no more plots"
    else:
        text = f"pauses after {counted(order.after, 'more plot')}"
    return f"{order.host} {current(order.host).operator.hold(order, order.what, text)}"


@task(names.UNPAUSE)
def unpause(order: HoldOrder) -> str:
    """Start plots on the host as the rules allow, also after plotters that died at once; or transfers.
    Only `what` of the order counts."""
    operator = current(order.host).operator
    if order.what == holds.ARCHIVING:
        return f"{order.host} {operator.lift([holds.ARCHIVING], 'sends plots as the rules allow')}"
    return f"{order.host} {operator.unpause()}"


@task(names.DRAIN)
def drain(order: HoldOrder) -> str:
    """Start no new plots in or for a directory of the host, or on the host at all; finished plots are
    still moved. `dir` of the order names a tmp, tmp2 or dst directory."""
    plotter = current(order.host)
    key = _key(plotter, order)
    what = "takes no more plots" if key == holds.ALL else f"takes no more plots in {key}"
    return f"{order.host} {plotter.operator.hold(order.model_copy(update={'after': None}), key, what)}"


@task(names.UNDRAIN)
def undrain(order: LiftOrder) -> dict[str, Any]:
    """Lift the drain of a directory, of the host as a whole, or with everything=true of the host and all its
    directories.

    Returns:
        `answer` (a sentence), `lifted`, and for an order for the host `drained` (what still is): the host by
        its name, directories by their paths.
    """
    plotter = current(order.host)
    key = _key(plotter, order)
    what = "starts plots as the rules allow" if key == holds.ALL else f"takes plots in {key} again"
    keys, suffix, fields = holds.lifted(order, key, plotter.operator.drains())
    return {"answer": f"{order.host} {plotter.operator.lift(keys, what, suffix)}", **fields}


def _key(plotter: PlotterHost, order: HoldOrder) -> str:
    paths = plotter.directories.paths()
    return holds.key_of(order, "tmp or dst directory", paths, plotter.operator.state.holds)
