"""Tasks by which an operator has old plots of a harvester replaced by new ones."""

from __future__ import annotations

from common import names
from common.model.replot_order import ReplotOrder, ReplotSwitch
from common.worker.task import task
from harvester_worker.service import current


@task(names.REPLOT)
def replot(order: ReplotOrder) -> str:
    """Replace old plots of these classes by new ones: an old plot goes after as many bytes of new plots have
    arrived and were proved. In place of an earlier order.

    Returns:
        A sentence for the operator.
    """
    harvester = current(order.host)
    answer = harvester.replot.begin(order)
    harvester.publish_now()
    return f"{order.host} {answer}"


@task(names.PAUSE_REPLOT)
def pause_replot(order: ReplotSwitch) -> str:
    """Delete no more old plots until the order is resumed. New plots that arrive still count.

    Returns:
        A sentence for the operator.
    """
    harvester = current(order.host)
    answer = harvester.replot.pause(order)
    harvester.publish_now()
    return f"{order.host} {answer}"


@task(names.RESUME_REPLOT)
def resume_replot(order: ReplotSwitch) -> str:
    """Resume an order that was paused.

    Returns:
        A sentence for the operator.
    """
    harvester = current(order.host)
    answer = harvester.replot.resume(order)
    harvester.publish_now()
    return f"{order.host} {answer}"


@task(names.STOP_REPLOT)
def stop_replot(order: ReplotSwitch) -> str:
    """End the order. No more old plots are deleted, and what was counted is forgotten.

    Returns:
        A sentence for the operator.
    """
    harvester = current(order.host)
    answer = harvester.replot.end(order)
    harvester.publish_now()
    return f"{order.host} {answer}"
