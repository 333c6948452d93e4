"""The plotter host's two steps of a plot's way to its drive: sending it, and deleting the source last."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from celery import Task, shared_task
from celery.exceptions import Ignore

from common import names
from common.errors import OrderRefused, PlotmanError, TransferFailed
from common.model.messages import Admission, Reservation, one_line
from common.model.pending import MoveStep
from common.model.plot_name import plot_id_of
from common.model.units import human_bytes
from common.worker.move_step import MoveHeartbeat, Step, StepInterrupted
from common.worker.pool import stop_event
from plotter_worker import service
from plotter_worker.archiving import archiver
from plotter_worker.archiving.transfer.progress import TransferProgress
from plotter_worker.directories import release as sources
from plotter_worker.state.delivered import DeliveredFile
from plotter_worker.tasks import resend as resending
from plotter_worker.tasks.progress import ProgressEvents

log = logging.getLogger(__name__)

_GONE = "it is gone from here"
_LONGEST_REASON = 1000


@shared_task(name=names.TRANSFER, bind=True, throws=(PlotmanError,))
def transfer(self: Task, reservation: dict[str, Any], host: str) -> dict[str, Any]:
    """Fill the part that was reserved. reservation: Reservation; answer: Delivery."""
    sender = archiver.current(host)
    reserved = _read(reservation, host, sender.moves, self.request.id)
    _must_be_ours(reserved, host)
    step = Step.of(reserved, MoveStep.TRANSFER, self.request.id)
    if why := _not_needed(sender, step):
        log.info("%s is not sent: %s", reserved.path, why, extra={"action": "not-sent", "host": host})
        if why == _GONE:
            sender.moves.over(step)
        raise Ignore(why)

    events = ProgressEvents(self)

    def tell(progress: TransferProgress) -> None:
        events.tell(progress_text(progress))

    try:
        with (
            sender.moves.working(step),
            sender.history.trying(reserved.path, reserved.host, self.request.id) as delivered,
        ):
            delivery = sender.send(reserved, tell, stop_event(self.request.id))
            delivered(delivery)
    except StepInterrupted:
        raise Ignore from None
    if not self.request.chain:  # a chain of the last release brings its own next steps
        sender.moves.hand_over(step, delivery.kwargs(), stop_event(self.request.id))
    return delivery.kwargs()


@shared_task(name=names.RELEASE, bind=True, throws=(PlotmanError,), ignore_result=True)
def release(self: Task, admission: dict[str, Any], host: str) -> dict[str, Any]:
    """Delete the source of a plot that is durable on its drive. admission: Admission, which is also the
    answer. Runs in the plotter's worker, so that it never waits for the next transfer."""
    admitted = Admission.of(admission)
    serving = service.serving(host)
    _must_be_ours(admitted.reservation, host)
    moves = MoveHeartbeat(serving.board, serving.publisher.tell)
    with moves.working(Step.of(admitted.reservation, MoveStep.RELEASE, self.request.id)):
        delivered = DeliveredFile(serving.plots.settings.state_dir)
        gone = sources.release(admitted, serving.plots.plot_dirs, delivered.has)
        # Before the move is off the board, or beat would find a plot there that nobody moves.
        serving.plots.plot_released(admitted.reservation.path)
        serving.publisher.publish_now()
    serving.history.released(admitted)
    log.info(
        "%s %s",
        admitted.reservation.path,
        "deleted: it is on its drive" if gone else "was deleted before",
        extra={"action": "released", "host": host},
    )
    return admitted.kwargs()


def progress_text(progress: TransferProgress) -> str:
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


def _read(message: object, host: str, moves: MoveHeartbeat, task_id: str | None) -> Reservation:
    """The harvester's answer. One that cannot be read fails the plot's move, which is tried again after the
    usual pause. Raises OrderRefused, TransferFailed."""
    try:
        return Reservation.of(message)
    except OrderRefused as error:
        path = message.get("path") if isinstance(message, dict) else None
        move = moves.move_of(host, path) if isinstance(path, str) else None
        if move is None:
            raise
        step = Step(
            step=MoveStep.TRANSFER,
            plotter=host,
            harvester=move.harvester,
            path=move.path,
            size_bytes=move.size_bytes,
            host=host,
            task_id=task_id,
            plot_id=plot_id_of(move.path),
            next=MoveStep.ADMIT,
            move=move.move,
        )
        with moves.working(step):
            raise TransferFailed(
                f"Harvester {move.harvester} answered what cannot be read: {error.what}",
                "See whether both machines run the same plotman.",
            ) from error


def _not_needed(sender: archiver.Archiver, step: Step) -> str | None:
    """Why a transfer's message is void: it came twice, or lay in the queue until its move was taken for lost
    and decided anew. The harvester would refuse; here it goes without noise."""
    if sender.sends(step.path):
        return "it is being sent already"
    if sender.moves.superseded(step):
        return "another move of it is under way"
    return None if Path(step.path).exists() else _GONE


def _must_be_ours(reservation: Reservation, host: str) -> None:
    if reservation.source_host != host:
        raise OrderRefused(
            f"{reservation.path} lies on {reservation.source_host}, not on {host}.",
            "Send the task to the queue of its host.",
        )


@shared_task(name=names.RESEND, throws=(OrderRefused,))
def resend(host: str, plot: str, lost: str | None = None) -> str:
    """A person wants a plot to be sent again: one that was refused; or, where `lost` is named, one that waits
    for this harvester, which is gone for good. plot: its path, its name or the start of its id."""
    plotter = service.serving(host)
    path = resending.refused(plotter, plot) if lost is None else resending.given_up(plotter, plot, lost)
    return f"{host}: {path} is sent again"


@shared_task(name=names.BANDWIDTH, throws=(OrderRefused,))
def bandwidth(host: str, bytes_s: int | None = None) -> str:
    """Hold all transfers from this host together to so many bytes a second, those that run included. 0: no
    limit; None: as its plotman.yaml says."""
    if bytes_s is not None and (bytes_s < 0 or 0 < bytes_s < 1024):
        raise OrderRefused(f"{bytes_s} bytes a second is no bandwidth.", "Give 1024 or more, or 0 for none.")
    text = (
        "takes the bandwidth that plotman.yaml allows"
        if bytes_s is None
        else f"takes at most {human_bytes(bytes_s)}/s for transfers"
        if bytes_s
        else "takes all the bandwidth there is"
    )
    service.current(host).steered.change(lambda steering: steering.set_bandwidth(bytes_s), text)
    return f"{host} {text}"


@shared_task(name=names.REFUSE, throws=(OrderRefused,), ignore_result=True)
def refuse(host: str, path: str, reason: str) -> None:
    """A harvester did not take the plot: it stays here, and is not sent again without a word."""
    serving = service.serving(host)
    refused = str(sources.own_plot(path, serving.plots.plot_dirs))
    reason = one_line(reason, _LONGEST_REASON)
    serving.plots.steered.refuse_plot(refused, reason)
    serving.history.refused(refused, reason)


@shared_task(name=names.NOT_COPIED, throws=(OrderRefused,), ignore_result=True)
def not_copied(host: str, path: str, harvester: str) -> None:
    """A drive gave back other bytes of the plot than it got: the harvester has no copy of it."""
    resending.not_copied(service.serving(host), path, harvester)
