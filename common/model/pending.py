"""Orders that are not carried out yet: starts that no snapshot shows, and plots on their way to a drive."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import ConfigDict, Field

from common.model.figures import Moment, Notice
from common.names import MOVE_LIFETIME


class PendingOrder(Notice):
    """A start that beat ordered. It counts as a running job until a snapshot shows it or it expires."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    task_id: str
    start_token: str = Field(alias="turn")
    tmp: str
    dst: str | None
    sent_at: Moment
    expires_at: Moment


# A record is renewed for MOVE_LIFETIME, by the clock of another machine.
_LONGEST = 10 * MOVE_LIFETIME


class MoveStep(StrEnum):
    """Steps of a move."""

    RESERVE = "reserve"
    TRANSFER = "transfer"
    ADMIT = "admit"
    RELEASE = "release"


# Steps at which the harvester has all bytes of the plot.
SENT = (MoveStep.ADMIT, MoveStep.RELEASE)


class PendingMove(Notice):
    """A plot on its way to a drive. The task that works on it renews the record; without that it expires.

    attempts: failures in a row, except failures to reserve a drive. `reason` and `retry_at` belong to the
        last one and explain why the plot does not move now.
    move: id of the chain of tasks that works on it. A task of another chain is out of date and stops.
    delivery: common.model.messages.Delivery of a sent plot, until beat has passed it to the harvester.
    doing: what a long step does now, for operators: "is read back from DRIVE: 40 %".
    absent: the harvester has no copy: none is on its drives, or the copy that arrived was bad.
    """

    path: str
    harvester: str
    size_bytes: int = Field(ge=0, le=1 << 53)
    step: MoveStep
    expires_at: Moment
    task_id: str | None = None
    attempts: int = Field(0, ge=0, le=1_000_000)
    reason: str | None = None
    retry_at: Moment | None = None
    move: str | None = None
    doing: str | None = None
    absent: bool = False
    delivery: dict[str, Any] | None = None


def under_way(move: PendingMove, now: datetime) -> bool:
    """Whether a task works on the move: it neither expired nor waits for its next attempt. A record that
    would hold a place on a drive for longer than any task asks is no plotman's."""
    return move.retry_at is None and now < move.expires_at <= now + _LONGEST


def may_have_it(copied_to: str | None, last: PendingMove | None) -> str | None:
    """The harvester that has all bytes of a plot and so may have admitted it; a second copy must not be sent
    to another. None: no harvester has them, or it reported that it has no copy.

    Args:
        copied_to: the harvester that the plotter remembers, even if the records of moves are lost.
        last: record of the plot's last move; None without one.
    """
    without = last.harvester if last is not None and last.absent else None
    sent_to = last.harvester if last is not None and last.step in SENT else None
    return next((host for host in (copied_to, sent_to) if host not in (None, without)), None)
