"""Tasks for a plotter host's two steps of a move, transfer and release, and for their bandwidth."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from celery import Task
from celery.exceptions import Ignore

from common import names
from common.errors import OrderRefused, TransferFailed
from common.model.messages import Admission, Delivery, OneLine, Reservation, SizeBytes, TargetOrder
from common.model.pending import MoveStep
from common.model.plot_name import plot_id_of
from common.model.targets import label
from common.model.units import human_bytes
from common.store import Board
from common.system.delivered import DeliveredFile
from common.worker.move_step import MoveHeartbeat, Step, StepInterrupted
from common.worker.pool import stop_event
from common.worker.task import task
from plotter_worker import service
from plotter_worker.archiving import archiver
from plotter_worker.archiving.transfer.progress import TransferProgress
from plotter_worker.directories import release as sources
from plotter_worker.tasks.progress import ProgressEvents

log = logging.getLogger(__name__)

_NO_SOURCE = "its source does not exist any more"
_STAYS = "the evacuation of its drive was ended"


@task(names.TRANSFER, bind=True)
def transfer(self: Task, reservation: dict[str, Any], host: OneLine) -> dict[str, Any]:
    """Send a plot into the part that was reserved. reservation: Reservation; answer: Delivery."""
    sender = archiver.current(host)
    reserved = _read(reservation, host, sender.moves, self.request.id)
    _must_be_ours(reserved, host)
    step = Step.of(reserved, MoveStep.TRANSFER, self.request.id)
    if why := _not_needed(sender, step):
        log.info("%s is not sent: %s", reserved.path, why, extra={"action": "not-sent", "host": host})
        if why in (_NO_SOURCE, _STAYS):
            sender.moves.over(step)
        raise Ignore(why)
    with _shown(sender.moves, step):
        _must_be_ordered(reserved, host, sender.board)

    events = ProgressEvents(self)

    def report(progress: TransferProgress) -> None:
        events.report(progress_text(progress))

    try:
        with (
            sender.moves.working(step),
            sender.history.trying(reserved.path, reserved.host, self.request.id) as delivered,
        ):
            delivery = sender.send(reserved, report, stop_event(self.request.id))
            delivered(delivery)
    except StepInterrupted:
        raise Ignore from None
    sender.moves.hand_over(step, delivery.kwargs(), stop_event(self.request.id))
    return delivery.kwargs()


@task(names.RELEASE, bind=True, ignore_result=True)
def release(self: Task, admission: Admission, host: OneLine) -> dict[str, Any]:
    """Delete the source of a plot that is durable on its drive. Returns the Admission.

    Runs in the plotter's worker, so that it never waits for the next transfer.
    """
    serving = service.serving(host)
    reservation = admission.reservation
    _must_be_ours(reservation, host)
    moves = MoveHeartbeat(serving.board, serving.publisher.tell)
    step = Step.of(reservation, MoveStep.RELEASE, self.request.id)
    path, dirs = reservation.path, serving.plotter.plot_dirs
    # Nothing else is looked at before beat's order is: it could hang.
    if sources.lies_in(path, dirs) and _status(path) is None and moves.move_of(host, path) is None:
        raise Ignore("its source was deleted before")
    if not reservation.host.startswith(label("")):
        with _shown(moves, step):
            _must_be_ordered(reservation, host, serving.board)
            if (source := _status(path)) is not None:
                _must_be_admitted(reservation, host, serving.board, source, serving.plotter.delivered)
    with moves.working(step):
        deleted = sources.release(admission, dirs, serving.plotter.delivered.has)
        # Before the board drops the move, or beat would order a new one for this plot.
        serving.plotter.finished_plots.release(path)
        serving.publisher.publish_now()
    serving.history.released(admission)
    log.info(
        "%s %s",
        path,
        "deleted: it is on its drive" if deleted else "was deleted before",
        extra={"action": "released", "host": host},
    )
    return admission.kwargs()


def progress_text(progress: TransferProgress) -> str:
    """Text for Flower and the status: "43% 181 MB/s eta 0:02"; at 100 % the drive still flushes."""
    if progress.percent >= 100:
        return "100% flushing"
    rate = f"{progress.rate_bytes_s / 1e6:.0f} MB/s"
    if progress.eta_s is None:
        return f"{progress.percent}% {rate}"
    minutes, seconds = divmod(int(progress.eta_s), 60)
    hours, minutes = divmod(minutes, 60)
    eta = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    return f"{progress.percent}% {rate} eta {eta}"


def _read(message: dict[str, Any], host: str, moves: MoveHeartbeat, task_id: str | None) -> Reservation:
    """The harvester's answer. If it cannot be read, the move fails and is tried again after the usual pause.

    Raises:
        OrderRefused, TransferFailed: it cannot be read; the latter if its move is known.
    """
    try:
        return Reservation.of(message)
    except OrderRefused as error:
        path = message.get("path")
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
                f"The answer of harvester {move.harvester} cannot be read: {error.what}",
                "Check that both machines run the same version of plotman.",
            ) from error


def _not_needed(sender: archiver.Archiver, step: Step) -> str | None:
    """Why a transfer's message is void: it came twice, or its move was decided anew meanwhile.

    The harvester would refuse it, and the log would show a failure.
    """
    if sender.sends(step.path):
        return "it is being sent already"
    if sender.moves.superseded(step):
        return "another move of it is under way"
    if sender.misses(step.path):
        return _NO_SOURCE
    return _STAYS if sender.stays(step.path) else None


def _status(path: str) -> os.stat_result | None:
    """lstat of a source; None if it does not exist. Raises OrderRefused if that cannot be known."""
    try:
        return Path(path).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise OrderRefused(
            f"{path} cannot be read ({error.strerror}).", "The file is kept: check its drive."
        ) from error


@contextlib.contextmanager
def _shown(moves: MoveHeartbeat, step: Step) -> Iterator[None]:
    """Show a refusal as the failure of this very step, so that operators see why the plot does not move. If
    another move or step is due, the message may be forged: its sender alone learns of the refusal."""
    try:
        yield
    except OrderRefused:
        move = moves.move_of(step.plotter, step.path)
        due = None if move is None else (move.move, move.harvester, move.step)
        if due != (step.move, step.harvester, step.step):
            raise
        with moves.working(step):
            raise


def _must_be_ours(reservation: Reservation, host: str) -> None:
    if reservation.source_host != host:
        raise OrderRefused(
            f"{reservation.path} is on {reservation.source_host}, not on {host}.",
            "Send the task to the queue of its host.",
        )


def _must_be_ordered(reservation: Reservation, host: str, board: Board) -> None:
    """Harvesters may push onto this host's queues, also in the name of another. Raises OrderRefused for a
    move that no beat ordered, or that a later one replaced."""
    if not board.is_ordered(host, reservation.path, reservation.move, reservation.host):
        raise OrderRefused(
            f"No beat has ordered that {reservation.path} goes to {reservation.host} by this move.",
            "Nothing was changed. If this is repeated, renew the server's users.acl (`plotman farm secrets`) "
            "and check who uses the harvesters' Redis users.",
        )


def _must_be_admitted(
    reservation: Reservation, host: str, board: Board, source: os.stat_result, delivered: DeliveredFile
) -> None:
    """Another harvester may push a release in the name of the one that has the plot, that does not have it
    yet, or that took in other bytes. Raises OrderRefused.

    Args:
        source: lstat of the plot.
        delivered: knows the digest of the bytes that were sent.
    """
    path, harvester = reservation.path, reservation.host
    digest = delivered.digest(path, harvester, source)
    if digest is None or not board.is_admitted(harvester, host, reservation.move, path, digest):
        raise OrderRefused(
            f"{harvester} itself does not say that it has taken in {path}, as it was sent.",
            "The file is kept. Update plotman on both machines, and renew users.acl (`plotman farm "
            "secrets`). After that, check who uses the harvesters' Redis users.",
        )


@task(names.BANDWIDTH)
def bandwidth(host: OneLine, bytes_s: SizeBytes | None = None) -> str:
    """Limit all transfers from this host together, running ones included. bytes_s: bytes per second; 0: no
    limit; None: as its plotman.yaml says."""
    if bytes_s is not None and 0 < bytes_s < 1024:
        raise OrderRefused(
            f"{bytes_s} bytes per second is no bandwidth.", "Give 1024 or more, or 0 for no limit."
        )
    text = (
        "takes the bandwidth that plotman.yaml allows"
        if bytes_s is None
        else f"takes at most {human_bytes(bytes_s)}/s for transfers"
        if bytes_s
        else "takes all the bandwidth there is"
    )
    service.current(host).operator.change(lambda state: state.with_bandwidth(bytes_s), text)
    return f"{host} {text}"


@task(names.ARCHIVE_TO_TARGET, bind=True)
def archive_to_target(self: Task, order: TargetOrder) -> dict[str, Any]:
    """Copy a plot to this host's target, and check that the copy is whole. Answer: Admission."""
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
