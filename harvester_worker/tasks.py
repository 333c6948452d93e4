"""The tasks of a harvester: thin, so that what they do can be called without Celery."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from celery import Task, shared_task
from celery.exceptions import Ignore

from common import names
from common.errors import PlotRefused
from common.messages import Admission, Delivery, Message
from common.moving import LetGo, Step
from common.pending import MoveStep
from common.plotfile import PlotName
from common.pool import stop_event
from harvester_worker.reserve import ReserveOrder
from harvester_worker.service import current


class FreeSpaceRequest(Message):
    """Arguments of `free_space`."""

    host: str


@shared_task(name=names.FREE_SPACE, bind=True)
def free_space(self: Task, **arguments: Any) -> list[dict[str, Any]]:  # noqa: ARG001
    """Each drive as it is now, as common.snapshot.Drive: state, bytes that may still be promised, plots."""
    harvester = current(FreeSpaceRequest.read(**arguments).host)
    harvester.drives.refresh()
    harvester.changed()
    return [drive.model_dump(mode="json") for drive in harvester.drives.shown()]


@shared_task(name=names.RESERVE, bind=True)
def reserve(self: Task, **arguments: Any) -> dict[str, Any]:
    """Hold a plot's bytes on a drive. Arguments: ReserveOrder; answer: Reservation."""
    order = ReserveOrder.read(**arguments)
    harvester = current(order.host)
    step = Step(
        step=MoveStep.RESERVE,
        plotter=order.source_host,
        harvester=order.host,
        path=order.path,
        size_bytes=order.size_bytes,
        host=order.host,
        task_id=self.request.id,
        plot_id=_plot_id(order.path),
        next=MoveStep.TRANSFER,
        move=order.move,
    )
    if harvester.moves.superseded(step):
        raise Ignore("another move of this plot is under way")
    with harvester.moves.working(step):
        reservation = harvester.way_in.reserve(order)
    harvester.changed()
    return reservation.kwargs()


@shared_task(name=names.ADMIT, bind=True)
def admit(self: Task, delivery: dict[str, Any], host: str) -> dict[str, Any]:
    """Take a delivered plot in. delivery: Delivery; answer: Admission, when the plot is durable."""
    delivered = Delivery.read(**delivery)
    harvester = current(host)
    reservation = delivered.reservation
    step = Step(
        step=MoveStep.ADMIT,
        plotter=reservation.source_host,
        harvester=host,
        path=reservation.path,
        size_bytes=reservation.size_bytes,
        host=host,
        task_id=self.request.id,
        plot_id=_plot_id(reservation.path),
        next=MoveStep.RELEASE,
        move=reservation.move,
    )
    try:
        with harvester.moves.working(step):
            admission = harvester.way_in.admit(delivered, stop_event(self.request.id))
    except LetGo:
        raise Ignore from None
    except PlotRefused as error:
        # The plotter remembers it on disk; the notice board may be wiped.
        self.app.send_task(
            names.REFUSE,
            kwargs={"host": reservation.source_host, "path": reservation.path, "reason": str(error)},
        )
        raise
    finally:
        harvester.changed()
    harvester.moves.tell(step, "archived", _sentence(admission))
    return admission.kwargs()


def _sentence(admission: Admission) -> str:
    name = Path(admission.landed).name
    return f"{name} is on {admission.reservation.drive}: {admission.verified}"


def _plot_id(path: str) -> str | None:
    name = PlotName.parse(Path(path).name)
    return name.plot_id if name else None
