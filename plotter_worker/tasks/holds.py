"""Tasks by which operators pause and drain a plotter host and its directories, and lift these holds."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from common import names
from common.errors import OrderRefused
from common.model import holds
from common.model.holds import HoldOrder, LiftOrder
from common.model.units import counted
from plotter_worker.host.plotter_host import PlotterHost
from plotter_worker.service import current


@shared_task(name=names.PAUSE, throws=(OrderRefused,))
def pause(host: str, **order: Any) -> str:
    """Start no more plots on `host`, or no more transfers; running ones continue. Arguments: HoldOrder.

    Returns:
        A sentence.
    """
    message = holds.read_order(host, order, HoldOrder)
    if message.dir is not None:
        raise OrderRefused("A directory is drained, not paused.", "Call plotter_worker.drain.")
    if message.what == holds.ARCHIVING:
        text = "begins no more transfers"
    elif message.after is None:
        text = "starts no more plots"
    else:
        text = f"starts {counted(message.after, 'more plot')}"
    return f"{host} {current(host).operator.hold(message, message.what, text)}"


@shared_task(name=names.UNPAUSE, throws=(OrderRefused,))
def unpause(host: str, **order: Any) -> str:
    """Start plots on `host` as the rules allow, also after plotters that died at once; or transfers.
    Arguments: HoldOrder, of which only `what` counts."""
    operator = current(host).operator
    if holds.read_order(host, order, HoldOrder).what == holds.ARCHIVING:
        return f"{host} {operator.lift([holds.ARCHIVING], 'sends plots as the rules allow')}"
    return f"{host} {operator.unpause()}"


@shared_task(name=names.DRAIN, throws=(OrderRefused,))
def drain(host: str, **order: Any) -> str:
    """Start no new plots in or for a directory of `host`, or on `host` at all; finished plots are still
    moved. Arguments: HoldOrder, of which `dir` names a tmp, tmp2 or dst directory."""
    message = holds.read_order(host, order, HoldOrder)
    plotter = current(host)
    key = _key(plotter, message)
    what = "is drained" if key == holds.ALL else f"is drained of {key}"
    return f"{host} {plotter.operator.hold(message.model_copy(update={'after': None}), key, what)}"


@shared_task(name=names.UNDRAIN, throws=(OrderRefused,))
def undrain(host: str, **order: Any) -> dict[str, Any]:
    """Lift the drain of a directory, of the host as a whole, or with everything=true of the host and all its
    directories. Arguments: LiftOrder.

    Returns:
        `answer` (a sentence), `lifted`, and for an order for the host `drained` (what still is): the host by
        its name, directories by their paths.
    """
    plotter = current(host)
    message = holds.read_order(host, order, LiftOrder)
    key = _key(plotter, message)
    what = "starts plots as the rules allow" if key == holds.ALL else f"takes plots in {key} again"
    keys, suffix, fields = holds.lifted(message, key, plotter.operator.drains())
    return {"answer": f"{host} {plotter.operator.lift(keys, what, suffix)}", **fields}


def _key(plotter: PlotterHost, order: HoldOrder) -> str:
    paths = plotter.directories.paths()
    return holds.key_of(order, "tmp or dst directory", paths, plotter.operator.state.holds)
