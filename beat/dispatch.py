"""Send decisions as Celery messages: an order to a plotter, and the steps that move a plot to its drive."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import PurePath
from typing import Any
from uuid import uuid4

from celery import Celery, chain, signature

from beat.policy.decision import AdmissionOrder, Move, Start
from beat.policy.moves.admission_dispatch import sent
from common.model.messages import VERSION, PlotOrder, TargetOrder
from common.model.pending import MoveStep, PendingMove, PendingOrder
from common.model.plot_name import PlotName
from common.names import (
    ADMIT,
    ARCHIVE_TO_TARGET,
    MOVE_LIFETIME,
    ORDER_LIFETIME,
    PLOT,
    RELEASE,
    RESERVE,
    TRANSFER,
    Keys,
)
from common.store import Board

log = logging.getLogger(__name__)


def send_start(app: Celery, board: Board, start: Start, now: datetime) -> str:
    """Send the order to start a plot.

    The order is recorded on the board first: an order that is recorded and not sent expires; an order that is
    sent and not recorded would be decided again.

    Args:
        now: when the order is sent; it expires ORDER_LIFETIME later.

    Returns:
        The task id of the plot.

    Raises:
        BrokerError: Redis did not take it.
    """
    task_id = str(uuid4())
    expires_at = now + ORDER_LIFETIME
    board.put_order(
        start.host,
        PendingOrder(
            task_id=task_id,
            start_token=start.start_token,
            tmp=start.tmp,
            dst=start.dst,
            sent_at=now,
            expires_at=expires_at,
        ),
    )
    order = PlotOrder(
        host=start.host, tmp=start.tmp, dst=start.dst, start_token=start.start_token, expires_at=expires_at
    )
    app.send_task(
        PLOT,
        kwargs=order.kwargs(),
        task_id=task_id,
        expires=ORDER_LIFETIME.total_seconds(),
        argsrepr="()",
        kwargsrepr=f"{start.host} {start.tmp} -> {start.dst}",
    )
    return task_id


def send_move(app: Celery, board: Board, move: Move, now: datetime) -> str:
    """Send the first two steps of a move, reserve and transfer.

    `send_admission` sends the other two, admit and release, once the plotter has recorded that the plot is
    sent: a plotter may not send orders to harvesters.

    Returns:
        The task id of the transfer.
    """
    if move.to_target:
        return _send_to_target(app, board, move, now)
    plot = move.plot
    move_id = uuid4().hex
    step = _steps(app, plot.path, move.host, move.harvester)
    steps = chain(
        step(
            RESERVE,
            move.harvester,
            source_host=move.host,
            version=VERSION,
            path=plot.path,
            size_bytes=plot.size_bytes,
            move=move_id,
            **({} if move.through_receiver else {"door": False}),
            **({"evacuates": True} if move.evacuates else {}),
            **({"drives": list(move.drives)} if move.drives else {}),
        ).set(expires=MOVE_LIFETIME.total_seconds()),
        step(TRANSFER, move.host),
        app=app,
    )
    if not board.put_ordered(move.host, plot.path, move_id, move.harvester):
        log.warning(
            "%s will not send %s: this user may not write %s. Renew users.acl: `plotman farm secrets`",
            move.host,
            plot.path,
            Keys.ordered(move.host),
        )
    return _record_and_send(steps, board, move, MoveStep.RESERVE, now, move_id)


def send_admission(app: Celery, board: Board, admission: AdmissionOrder, now: datetime) -> str:
    """Send the last two steps of a move: the harvester admits the plot, then the plotter releases it. From an
    evacuated drive, its own harvester releases it, without a message (harvester_worker.evacuation).

    The step is recorded on the board first, as with orders.

    Returns:
        The task id of the release.
    """
    move = admission.move
    step = _steps(app, move.path, admission.host, move.harvester)
    steps = step(ADMIT, move.harvester, delivery=move.delivery)
    if not admission.evacuates:
        steps = chain(steps, step(RELEASE, admission.host), app=app)
    frozen = steps.freeze()
    board.put_move(admission.host, sent(move, now).model_copy(update={"task_id": frozen.id}))
    steps.apply_async()
    return str(frozen.id)


def _steps(app: Celery, path: str, plotter: str, harvester: str) -> Callable[..., Any]:
    """Make signatures that Flower shows as `6b4e7375 plotter1 -> harvester1 plot-k32-....plot`."""
    shown = _shown(path, plotter, harvester)

    def step(task: str, host: str, **kwargs: Any) -> Any:
        return signature(task, kwargs={"host": host, **kwargs}, app=app).set(argsrepr="()", kwargsrepr=shown)

    return step


def _shown(path: str, plotter: str, harvester: str) -> str:
    """Put the most important part first: Flower cuts off the end."""
    name = PlotName.parse(PurePath(path).name)
    plot_id = f"{name.plot_id[:8]} " if name else ""
    return f"{plot_id}{plotter} -> {harvester} {PurePath(path).name}"


def _send_to_target(app: Celery, board: Board, move: Move, now: datetime) -> str:
    """Send the two steps of a move to a target of plotman 0.5.3: the archiver sends, the plotter releases."""
    plot = move.plot
    reprs = {"argsrepr": "()", "kwargsrepr": _shown(plot.path, move.host, move.harvester)}
    order = TargetOrder(host=move.host, path=plot.path, size_bytes=plot.size_bytes, coming=dict(move.coming))
    steps = chain(
        signature(ARCHIVE_TO_TARGET, kwargs=order.kwargs(), app=app).set(
            expires=MOVE_LIFETIME.total_seconds(), **reprs
        ),
        signature(RELEASE, kwargs={"host": move.host}, app=app).set(**reprs),
        app=app,
    )
    return _record_and_send(steps, board, move, MoveStep.TRANSFER, now)


def _record_and_send(
    steps: Any, board: Board, move: Move, first: MoveStep, now: datetime, move_id: str | None = None
) -> str:
    """Record the move on the board, then send its steps; returns the last one's task id."""
    frozen = steps.freeze()
    board.put_move(
        move.host,
        PendingMove(
            path=move.plot.path,
            harvester=move.harvester,
            size_bytes=move.plot.size_bytes,
            step=first,
            expires_at=now + MOVE_LIFETIME,
            task_id=frozen.id,
            attempts=move.attempts,
            move=move_id,
        ),
    )
    steps.apply_async()
    return str(frozen.id)
