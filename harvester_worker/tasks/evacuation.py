"""Tasks by which a farming drive is evacuated: an operator's orders, and the last step of each plot's
move."""

from __future__ import annotations

from common import names
from common.errors import OrderRefused
from common.model.holds import HoldOrder
from common.model.messages import AbsolutePath, EvacuateOrder, OneLine
from common.model.paths import one_spelling
from common.model.units import counted, human_bytes
from common.worker.task import task
from harvester_worker.service import current


@task(names.EVACUATE)
def evacuate(order: EvacuateOrder) -> str:
    """Move all plots of a drive of this host to other drives of the farm. The drive is drained, and stays so.

    Returns:
        A sentence for the operator.
    """
    harvester = current(order.host)
    order = order.model_copy(update={"dir": one_spelling(order.dir)})
    if order.dir not in harvester.drives.paths():
        raise OrderRefused(
            f"{order.dir} is not a drive of {order.host}.",
            f"It has {', '.join(harvester.drives.paths()) or 'none'}.",
        )
    # First: its plots must not be joined by new ones. This hold outlives the evacuation.
    reason = order.reason or "it is evacuated"
    hold = HoldOrder(host=order.host, dir=order.dir, reason=reason, by=order.by)
    harvester.holds.hold(hold, order.dir, f"takes no more plots on {order.dir}")
    kept = harvester.evacuations.begin(order)
    harvester.publish_now()
    what = f"{counted(kept.plots, 'plot')}, {human_bytes(kept.size_bytes)}"
    where = f" to {', '.join(kept.to)}" if kept.to else ""
    return f"{order.host} evacuates {order.dir}{where}: {what}"


@task(names.STOP_EVACUATION)
def stop_evacuation(host: OneLine, dir: AbsolutePath) -> str:
    """End the evacuation of a drive. A plot that is under way is moved to its end. The drive stays drained.

    Returns:
        A sentence for the operator.
    """
    harvester = current(host)
    drive = one_spelling(dir)
    before = harvester.evacuations.end(drive)
    harvester.publish_now()
    already = ": a plot that is under way is moved first" if before.ending else ""
    drained = f"the drive stays drained (`plotman undrain {host}:{drive}`)"
    return f"{host} ends the evacuation of {drive}{already}; {drained}"
