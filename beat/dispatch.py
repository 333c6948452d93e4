"""Turns decisions into messages: an order to a plotter, a chain of four steps for a plot's way home."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import PurePath
from typing import Any
from uuid import uuid4

from celery import Celery, chain, signature

from beat.policy.decision import Move, Start
from beat.policy.moves.admission_dispatch import Passing, told
from common.model.messages import VERSION, PlotOrder, TargetOrder
from common.model.pending import MoveStep, PendingMove, PendingOrder
from common.names import (
    ADMIT,
    ARCHIVE_TO_TARGET,
    MOVE_LIFETIME,
    ORDER_LIFETIME,
    PLOT,
    RELEASE,
    RESERVE,
    TRANSFER,
)
from common.store import Board
from common.system.plotfile import PlotName


def send_start(app: Celery, board: Board, start: Start, now: datetime) -> str:
    """Send the order; returns its task id. Noted on the board first: an order that is noted and not
    sent expires, one that is sent and not noted would be decided twice."""
    task_id = str(uuid4())
    expires_at = now + ORDER_LIFETIME
    board.put_order(
        start.host,
        PendingOrder(
            task_id=task_id,
            turn=start.turn,
            tmp=start.tmp,
            dst=start.dst,
            sent_at=now,
            expires_at=expires_at,
        ),
    )
    order = PlotOrder(host=start.host, tmp=start.tmp, dst=start.dst, turn=start.turn, expires_at=expires_at)
    app.send_task(
        PLOT,
        kwargs=order.kwargs(),
        task_id=task_id,
        expires=expires_at,
        argsrepr="()",
        kwargsrepr=f"{start.host} {start.tmp} -> {start.dst}",
    )
    return task_id


def send_move(app: Celery, board: Board, move: Move, now: datetime) -> str:
    """Send the first two of four steps; the harvester sends the second. Returns that one's task id.

    The other two follow when the plotter has left word that the plot is sent (`send_on`): a plotter orders
    nobody.
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
            **({} if move.door else {"door": False}),
        ).set(expires=now + MOVE_LIFETIME),
        step(TRANSFER, move.host),
        app=app,
    )
    return _send_noted(steps, board, move, MoveStep.RESERVE, now, move_id)


def send_on(app: Celery, board: Board, passing: Passing, now: datetime) -> str:
    """Tell the harvester that a plot is sent, and the plotter when it is in. Returns the last step's task id.

    Noted on the board first, as with orders: what is noted and not sent expires, and is decided anew.
    """
    move = passing.move
    step = _steps(app, move.path, passing.host, move.harvester)
    steps = chain(step(ADMIT, move.harvester, delivery=move.delivery), step(RELEASE, passing.host), app=app)
    frozen = steps.freeze()
    board.put_move(passing.host, told(move, now).model_copy(update={"task_id": frozen.id}))
    steps.apply_async()
    return str(frozen.id)


def _steps(app: Celery, path: str, plotter: str, harvester: str) -> Callable[..., Any]:
    """Makes signatures that Flower shows as `6b4e7375 plotter1 -> harvester1 plot-k32-....plot`."""
    shown = _shown(path, plotter, harvester)

    def step(task: str, host: str, **kwargs: Any) -> Any:
        return signature(task, kwargs={"host": host, **kwargs}, app=app).set(argsrepr="()", kwargsrepr=shown)

    return step


def _shown(path: str, plotter: str, harvester: str) -> str:
    """What tells most comes first: Flower's table cuts it off."""
    name = PlotName.parse(PurePath(path).name)
    plot_id = f"{name.plot_id[:8]} " if name else ""
    return f"{plot_id}{plotter} -> {harvester} {PurePath(path).name}"


def _send_to_target(app: Celery, board: Board, move: Move, now: datetime) -> str:
    """The same without a harvester, in two steps: the archiver's and the plotter's."""
    plot = move.plot
    says = {"argsrepr": "()", "kwargsrepr": _shown(plot.path, move.host, move.harvester)}
    order = TargetOrder(host=move.host, path=plot.path, size_bytes=plot.size_bytes, coming=dict(move.coming))
    steps = chain(
        signature(ARCHIVE_TO_TARGET, kwargs=order.kwargs(), app=app).set(expires=now + MOVE_LIFETIME, **says),
        signature(RELEASE, kwargs={"host": move.host}, app=app).set(**says),
        app=app,
    )
    return _send_noted(steps, board, move, MoveStep.TRANSFER, now)


def _send_noted(
    steps: Any, board: Board, move: Move, first: MoveStep, now: datetime, move_id: str | None = None
) -> str:
    """Note the move on the board, then send its steps; returns the last one's task id."""
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
