"""What was ordered and is not done: starts that no snapshot shows yet, plots on their way to a drive."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime

from common.snapshot import Notice


class PendingOrder(Notice):
    """An order that beat sent; counts as a running job until it is seen or void."""

    task_id: str
    turn: str
    tmp: str
    dst: str | None
    sent_at: AwareDatetime
    expires_at: AwareDatetime


class MoveStep(StrEnum):
    """Where a plot is on its way to a drive."""

    RESERVE = "reserve"
    TRANSFER = "transfer"
    ADMIT = "admit"
    RELEASE = "release"


class PendingMove(Notice):
    """A plot under way. Renewed by whoever works on it; void when it expires.

    attempts: failures in a row, without those to reserve a drive; with `reason` and `retry_at` it tells why
        the plot is not moving now.
    move: of the chain of tasks that works on it; another chain's tasks find by it that they came too late.
    delivery: common.messages.Delivery of a plot that is sent, until beat has told the harvester of it.
    absent: the harvester has looked at all its drives, and no copy of the plot is on any.
    """

    path: str
    harvester: str
    size_bytes: int
    step: MoveStep
    expires_at: AwareDatetime
    task_id: str | None = None
    attempts: int = 0
    reason: str | None = None
    retry_at: AwareDatetime | None = None
    move: str | None = None
    absent: bool = False
    delivery: dict[str, Any] | None = None
