"""Turns decisions into messages: an order to a plotter, a chain of four steps for a plot's way home."""

from __future__ import annotations

from datetime import datetime
from pathlib import PurePath
from typing import Any
from uuid import uuid4

from celery import Celery, chain, signature

from beat.decisions import Move, Start
from common.messages import PlotOrder, TargetOrder
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
from common.pending import MoveStep, PendingMove, PendingOrder
from common.store import Board


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
    """Send the first of the four steps; each worker sends the next. Returns the chain's last task id."""
    if move.to_target:
        return _send_to_target(app, board, move, now)
    plot = move.plot
    move_id = uuid4().hex
    repr_ = f"{PurePath(plot.path).name} {move.host} -> {move.harvester}"

    def step(task: str, host: str, **kwargs: Any) -> Any:
        return signature(task, kwargs={"host": host, **kwargs}, app=app).set(argsrepr="()", kwargsrepr=repr_)

    steps = chain(
        step(
            RESERVE,
            move.harvester,
            source_host=move.host,
            path=plot.path,
            size_bytes=plot.size_bytes,
            move=move_id,
        ).set(expires=now + MOVE_LIFETIME),
        step(TRANSFER, move.host),
        step(ADMIT, move.harvester),
        step(RELEASE, move.host),
        app=app,
    )
    frozen = steps.freeze()
    board.put_move(
        move.host,
        PendingMove(
            path=plot.path,
            harvester=move.harvester,
            size_bytes=plot.size_bytes,
            step=MoveStep.RESERVE,
            expires_at=now + MOVE_LIFETIME,
            task_id=frozen.id,
            attempts=move.attempts,
            move=move_id,
        ),
    )
    steps.apply_async()
    return str(frozen.id)


def _send_to_target(app: Celery, board: Board, move: Move, now: datetime) -> str:
    """The same without a harvester, in two steps: the archiver's and the plotter's."""
    plot, expires_at = move.plot, now + MOVE_LIFETIME
    says = {"argsrepr": "()", "kwargsrepr": f"{PurePath(plot.path).name} {move.host} -> {move.harvester}"}
    order = TargetOrder(host=move.host, path=plot.path, size_bytes=plot.size_bytes)
    steps = chain(
        signature(ARCHIVE_TO_TARGET, kwargs=order.kwargs(), app=app).set(expires=expires_at, **says),
        signature(RELEASE, kwargs={"host": move.host}, app=app).set(**says),
        app=app,
    )
    frozen = steps.freeze()
    board.put_move(
        move.host,
        PendingMove(
            path=plot.path,
            harvester=move.harvester,
            size_bytes=plot.size_bytes,
            step=MoveStep.TRANSFER,
            expires_at=expires_at,
            task_id=frozen.id,
            attempts=move.attempts,
        ),
    )
    steps.apply_async()
    return str(frozen.id)
