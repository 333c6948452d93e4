"""The task that copies plots to the archiving targets of plotman 0.5.3; `release` follows it as usual."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from celery import Task, shared_task
from celery.exceptions import Ignore

from common import names
from common.errors import OrderRefused, PlotmanError
from common.model.messages import Delivery, TargetOrder
from common.model.pending import MoveStep
from common.model.plot_name import plot_id_of
from common.model.targets import label
from common.worker.move_step import Step, StepInterrupted
from common.worker.pool import stop_event
from plotter_worker.archiving import archiver
from plotter_worker.archiving.transfer.progress import TransferProgress
from plotter_worker.tasks.archive import progress_text
from plotter_worker.tasks.progress import ProgressEvents

log = logging.getLogger(__name__)


@shared_task(name=names.ARCHIVE_TO_TARGET, bind=True, throws=(PlotmanError,))
def archive_to_target(self: Task, **arguments: Any) -> dict[str, Any]:
    """Copy a plot to this host's target, and check that the copy is whole. TargetOrder; answer: Admission."""
    order = TargetOrder.read(**arguments)
    sender = archiver.current(order.host)
    if sender.target is None:
        raise OrderRefused(
            f"plotman.yaml of {order.host} names no target but harvesters.", "Check archiving.target."
        )

    events = ProgressEvents(self)

    def report(progress: TransferProgress) -> None:
        events.report(progress_text(progress))

    if sender.target.sends(order.path) or not Path(order.path).exists():
        log.info("%s is not sent: it is being sent already, or does not exist any more", order.path)
        raise Ignore

    step = Step(
        step=MoveStep.TRANSFER,
        plotter=order.host,
        harvester=label(sender.target.name),
        path=order.path,
        size_bytes=order.size_bytes or 0,
        host=order.host,
        task_id=self.request.id,
        plot_id=plot_id_of(order.path),
        next=MoveStep.RELEASE,
    )
    try:
        with (
            sender.moves.working(step),
            sender.history.trying(order.path, step.harvester, self.request.id) as delivered,
        ):
            admission = sender.send_to_target(sender.target, order, report, stop_event(self.request.id))
            delivered(Delivery(reservation=admission.reservation, took_s=admission.took_s))
    except StepInterrupted:
        raise Ignore from None
    text = f"{Path(order.path).name} is on {admission.reservation.drive}: {admission.verified}"
    sender.moves.tell(step, "archived", text)
    return admission.kwargs()
