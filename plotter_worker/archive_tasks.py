"""The plotter host's two steps of a plot's way to its drive: sending it, and deleting the source last."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from celery import Task, shared_task
from celery.exceptions import Ignore
from kombu.exceptions import OperationalError

from common import names
from common.errors import OrderRefused
from common.messages import Admission, Reservation
from common.moving import LetGo, MoveKeeper, Step
from common.pending import MoveStep
from common.plotfile import PlotName
from common.pool import stop_event
from plotter_worker import archiver, service, sources
from plotter_worker.transfer.progress import Progress

log = logging.getLogger(__name__)


@shared_task(name=names.TRANSFER, bind=True)
def transfer(self: Task, reservation: dict[str, Any], host: str) -> dict[str, Any]:
    """Fill the part that was reserved. reservation: Reservation; answer: Delivery."""
    reserved = Reservation.read(**reservation)
    sender = archiver.current(host)
    _must_be_ours(reserved, host)

    def tell(progress: Progress) -> None:
        try:
            self.send_event("task-progress", result=progress_text(progress))
        except (OperationalError, OSError) as error:
            log.debug("progress is not told: %s", error)  # Redis is away; the plot goes on

    try:
        with sender.moves.working(_step(MoveStep.TRANSFER, reserved, host, self.request.id)):
            delivery = sender.send(reserved, tell, stop_event(self.request.id))
    except LetGo:
        raise Ignore from None
    return delivery.kwargs()


@shared_task(name=names.RELEASE, bind=True)
def release(self: Task, admission: dict[str, Any], host: str) -> dict[str, Any]:
    """Delete the source of a plot that is durable on its drive. admission: Admission, which is also the
    answer. Runs in the plotter's worker, so that it never waits for the next transfer."""
    admitted = Admission.read(**admission)
    plotter = service.current(host)
    _must_be_ours(admitted.reservation, host)
    moves = MoveKeeper(service.board(), service.publisher().tell)
    with moves.working(_step(MoveStep.RELEASE, admitted.reservation, host, self.request.id)):
        gone = sources.release(admitted, plotter.plot_dirs)
        # Before the move is off the board, or beat would find a plot there that nobody moves.
        plotter.plot_released(admitted.reservation.path)
        service.publisher().publish_now()
    log.info(
        "%s %s",
        admitted.reservation.path,
        "deleted: it is on its drive" if gone else "was deleted before",
        extra={"action": "released", "host": host},
    )
    return admitted.kwargs()


def progress_text(progress: Progress) -> str:
    """For Flower and the status: "43% 181 MB/s eta 0:02"; after the last byte the drive still flushes."""
    if progress.percent >= 100:
        return "100% flushing"
    rate = f"{progress.rate_bytes_s / 1e6:.0f} MB/s"
    if progress.eta_s is None:
        return f"{progress.percent}% {rate}"
    minutes, seconds = divmod(int(progress.eta_s), 60)
    hours, minutes = divmod(minutes, 60)
    eta = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    return f"{progress.percent}% {rate} eta {eta}"


def _must_be_ours(reservation: Reservation, host: str) -> None:
    if reservation.source_host != host:
        raise OrderRefused(
            f"{reservation.path} lies on {reservation.source_host}, not on {host}.",
            "Send the task to the queue of its host.",
        )


def _step(step: MoveStep, reservation: Reservation, host: str, task_id: str | None) -> Step:
    name = PlotName.parse(Path(reservation.path).name)
    return Step(
        step=step,
        plotter=host,
        harvester=reservation.host,
        path=reservation.path,
        size_bytes=reservation.size_bytes,
        host=host,
        task_id=task_id,
        plot_id=name.plot_id if name else None,
        next=MoveStep.ADMIT if step is MoveStep.TRANSFER else None,
    )


@shared_task(name=names.REFUSE, throws=(OrderRefused,))
def refuse(host: str, path: str, reason: str) -> None:
    """A harvester did not take the plot: it stays here, and is not sent again without a word."""
    plotter = service.current(host)
    plotter.refuse_plot(str(sources.own_plot(path, plotter.plot_dirs)), reason)
