"""Tasks of a harvester: message in, method of the harvester called, answer out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

from celery import Task
from celery.exceptions import Ignore
from pydantic import Field

from common import names
from common.errors import DriveFailed, PlotRefused
from common.model.messages import Admission, Delivery, OneLine, PlotsFound
from common.model.pending import MoveStep
from common.model.snapshot import DirState, Drive
from common.worker.move_step import Doing, Step, StepInterrupted
from common.worker.pool import stop_event
from common.worker.task import task
from harvester_worker.drives.part_files import now_utc
from harvester_worker.intake.reserve import ReserveOrder
from harvester_worker.service import current

_Plots = Annotated[tuple[OneLine, ...], Field(max_length=1000)]


@task(names.FREE_SPACE)
def free_space(host: OneLine) -> list[dict[str, Any]]:
    """Survey all drives now, within seconds. Answer: `_space` of each drive."""
    return [_space(drive) for drive in current(host).survey()]


def _space(drive: Drive) -> dict[str, Any]:
    """A drive in the answer of `free_space`. None: unknown, since the drive does not answer.

    free_bytes: what a plain user may still write, without reserved bytes.
    reserved_bytes: for the in_flight plots on their way in.
    plots: number of files with a plot's name.
    state: active, full, draining, disabled, read-only, not mounted, missing, hanging or unknown.
    since: when this worker first saw that state.
    """
    answers = drive.state in (DirState.OK, DirState.READ_ONLY)
    return {
        "path": drive.path,
        "state": drive.word,
        "since": drive.state_since.isoformat() if drive.state_since else None,
        "free_bytes": drive.free_bytes,
        "total_bytes": drive.total_bytes,
        "reserved_bytes": drive.reserved_bytes if answers else None,
        "in_flight": drive.incoming if answers else None,
        "plots": drive.plots if answers else None,
    }


@task(names.FIND_PLOTS)
def find_plots(host: OneLine, plots: _Plots) -> dict[str, Any]:
    """Find plots on the drives of a host. Answer: PlotsFound."""
    found, unread = current(host).find(frozenset(plots))
    return PlotsFound(found=tuple(found), unread=tuple(unread)).kwargs()


@task(names.RESERVE, bind=True, ignore_result=True)
def reserve(self: Task, order: ReserveOrder) -> dict[str, Any]:
    """Reserve space for a plot on a drive. Answer: Reservation."""
    harvester = current(order.host)
    step = Step.of(order, MoveStep.RESERVE, self.request.id)
    if harvester.moves.superseded(step):
        raise Ignore("another move of this plot is under way")
    if harvester.intake.takes_in(step.plot_id):
        # Its move may be missing on the board; the next renewal puts it there again.
        raise Ignore("this plot is being taken in")
    try:
        with harvester.moves.working(step):
            begun_s = time.monotonic()
            reservation = harvester.intake.reserve(order)
            reservation = reservation.model_copy(update={"took_s": time.monotonic() - begun_s})
    except PlotRefused as error:
        # The plotter remembers the refusal on disk, until `plotman resend`. A harvester whose drive is
        # evacuated # finds it in the record of the move.
        source = {"host": order.source_host, "path": order.path}
        if not order.evacuates:
            self.app.send_task(names.REFUSE, kwargs={**source, "reason": str(error)})
        raise
    harvester.changed()
    return reservation.kwargs()


@task(names.ADMIT, bind=True)
def admit(self: Task, delivery: Delivery, host: OneLine) -> dict[str, Any]:
    """Take a delivered plot in. Answers, once the plot is durable: Admission."""
    harvester = current(host)
    reservation = delivery.reservation
    source = {"host": reservation.source_host, "path": reservation.path}
    step = Step.of(reservation, MoveStep.ADMIT, self.request.id)
    if harvester.moves.superseded(step):
        raise Ignore("another move of this plot is under way")
    began_at = now_utc()
    try:
        doing = Doing()
        with harvester.moves.working(step, doing):
            admission = harvester.intake.admit(delivery, stop_event(self.request.id), doing)
            if reservation.move is not None:
                # Without this note the plotter keeps its source: the step fails, and is repeated.
                harvester.board.put_admitted(
                    host,
                    source["host"],
                    reservation.move,
                    source["path"],
                    delivery.digest or "",
                    reservation.evacuates,
                )
    except StepInterrupted:
        raise Ignore from None
    except (PlotRefused, DriveFailed) as error:
        harvester.history.refused(delivery, str(error), began_at)
        # The plotter remembers both on disk, since the board may be wiped.
        if reservation.evacuates:
            raise
        if isinstance(error, PlotRefused):
            self.app.send_task(names.REFUSE, kwargs={**source, "reason": str(error)})
        else:
            # A late message would be about the next copy, which may be valid.
            expires_s = names.MOVE_LIFETIME.total_seconds()
            self.app.send_task(names.NOT_COPIED, kwargs={**source, "harvester": host}, expires=expires_s)
        raise
    finally:
        harvester.changed()
    harvester.history.landed(delivery, admission, began_at)
    harvester.farmed.landed(admission.landed)
    harvester.moves.tell(step, "moved" if reservation.evacuates else "archived", _sentence(admission))
    # Before the plotter deletes its source: no other plotter's copy of this plot may go to another harvester.
    harvester.publish_now()
    return admission.kwargs()


def _sentence(admission: Admission) -> str:
    name = Path(admission.landed).name
    return f"{name} is on {admission.reservation.drive}: {admission.verified}"
