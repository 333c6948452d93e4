"""What was ordered and is not done: starts that no snapshot shows yet, plots on their way to a drive."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, Field

from common.model.snapshot import Notice


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


# All bytes of the plot are with the harvester.
SENT = (MoveStep.ADMIT, MoveStep.RELEASE)


def _can_be_reckoned_with(moment: datetime) -> datetime:
    """Refuse what overflows when seconds are added; any harvester may write a move."""
    if not 1970 < moment.year < 9000:
        raise ValueError("is out of range")
    return moment


_Moment = Annotated[AwareDatetime, AfterValidator(_can_be_reckoned_with)]


class PendingMove(Notice):
    """A plot under way. Renewed by whoever works on it; void when it expires.

    attempts: failures in a row, without those to reserve a drive; with `reason` and `retry_at` it tells why
        the plot is not moving now.
    move: of the chain of tasks that works on it; another chain's tasks find by it that they came too late.
    delivery: common.model.messages.Delivery of a plot that is sent, until beat has told the harvester of it.
    doing: what a long step does now, for operators: "is read back from DRIVE: 40 %".
    absent: the harvester has no copy of the plot: it has looked at all its drives, or what came was no good.
    """

    path: str
    harvester: str
    size_bytes: int = Field(ge=0, le=1 << 53)
    step: MoveStep
    expires_at: _Moment
    task_id: str | None = None
    attempts: int = Field(0, ge=0, le=1_000_000)
    reason: str | None = None
    retry_at: _Moment | None = None
    move: str | None = None
    doing: str | None = None
    absent: bool = False
    delivery: dict[str, Any] | None = None


def under_way(move: PendingMove, now: datetime) -> bool:
    """Whether somebody works on it: it neither expired nor waits to be tried again."""
    return move.retry_at is None and move.expires_at > now


def may_have_it(copied_to: str | None, last: PendingMove | None) -> str | None:
    """The harvester that has all bytes of a plot, and so may have taken it in; None: none does, or it has
    told that it does not. A copy elsewhere would be farmed as well.

    copied_to: the one that the plotter itself remembers, also when the records of moves are lost.
    last: record of the plot's last move, None where there is none.
    """
    without = last.harvester if last is not None and last.absent else None
    sent_to = last.harvester if last is not None and last.step in SENT else None
    return next((host for host in (copied_to, sent_to) if host not in (None, without)), None)
