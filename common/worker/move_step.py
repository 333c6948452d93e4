"""Steps of a move, which the board shows while a worker executes them."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Protocol, Self

from common.errors import BrokerError, DriveFailed, NoRoom, PlotmanError, PlotRefused
from common.model.pending import MoveStep, PendingMove
from common.model.plot_name import plot_id_of
from common.model.snapshot import Event
from common.names import MOVE_LIFETIME
from common.store import Board
from common.store.farm_clock import CLOCK

log = logging.getLogger(__name__)

RENEW_S = 15.0
_REDIS_PAUSE_S = 1.0

# A reservation takes milliseconds and may be tried again soon; other steps read or send a whole plot.
_RESERVE_PAUSE_S = 30.0
_FIRST_PAUSE_S = 10.0
_LONGEST_PAUSE_S = 3600.0
_NEVER = timedelta(days=3650)


class StepInterrupted(Exception):
    """The worker stops and the step is unfinished; beat orders it again."""


class Stop(Protocol):
    """Tells a step whether to stop; common.worker.pool.StopEvent is one."""

    def is_set(self) -> bool: ...


class _Never:
    def is_set(self) -> bool:
        return False


never: Stop = _Never()


class Doing:
    """text: what a long step does now, for operators; None: nothing to show. The working thread sets it, the
    renewing thread reads it."""

    text: str | None = None


def pause_s(step: MoveStep, attempts: int) -> float:
    """Seconds until the next try after this number of failures in a row: 10, 30, 90 ... up to an hour; always
    the same for a reservation."""
    if step is MoveStep.RESERVE:
        return _RESERVE_PAUSE_S
    return float(min(_FIRST_PAUSE_S * 3 ** min(attempts - 1, 10), _LONGEST_PAUSE_S))


class MoveOrder(Protocol):
    """The plot and the hosts of a move; Reservation is one. host: the harvester. source_host: the plotter."""

    @property
    def host(self) -> str: ...
    @property
    def source_host(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def move(self) -> str | None: ...


_NEXT = dict(pairwise((MoveStep.RESERVE, MoveStep.TRANSFER, MoveStep.ADMIT, MoveStep.RELEASE)))


@dataclass(frozen=True, slots=True)
class Step:
    """plotter: host that has the plot. host: the one that executes this step. next: the following step; None
    after the last one. move: see PendingMove."""

    step: MoveStep
    plotter: str
    harvester: str
    path: str
    size_bytes: int
    host: str
    task_id: str | None
    plot_id: str | None
    next: MoveStep | None
    move: str | None = None

    @classmethod
    def of(cls, order: MoveOrder, step: MoveStep, task_id: str | None) -> Self:
        """The step of a move to a harvester that `task_id` executes."""
        return cls(
            step=step,
            plotter=order.source_host,
            harvester=order.host,
            path=order.path,
            size_bytes=order.size_bytes,
            host=order.host if step in (MoveStep.RESERVE, MoveStep.ADMIT) else order.source_host,
            task_id=task_id,
            plot_id=plot_id_of(order.path),
            next=_NEXT.get(step),
            move=order.move,
        )


class MoveHeartbeat:
    """Renews moves on the board while their steps run. tell: puts an event on the stream; must not raise when
    Redis is away."""

    def __init__(self, board: Board, tell: Callable[[Event], None]) -> None:
        self._board = board
        self._tell = tell

    @contextlib.contextmanager
    def working(self, step: Step, doing: Doing | None = None) -> Iterator[None]:
        """Renew the move while the body runs, and show what it is `doing`. Afterwards set the move to the
        next step, or delete it after the last one; if the body raised, record why, how often, and when to try
        again.

        Works without Redis, too: beat then decides again what could not be written."""
        attempts = self._attempts(step)
        done = threading.Event()
        renewal = threading.Thread(
            target=self._renew,
            args=(step, attempts, done, doing or Doing()),
            name=f"move {step.step}",
            daemon=True,
        )
        renewal.start()
        try:
            yield
        except StepInterrupted:
            _end(renewal, done)
            # Expired, so that beat decides again at once.
            self._put(step, self._record(step, attempts, lifetime=timedelta(0)))
            raise
        except Exception as error:
            _end(renewal, done)
            self._failed(step, _counted(step, attempts), error)
            raise
        _end(renewal, done)
        if step.next is None:
            self._quietly(lambda: self._board.drop_move(step.plotter, step.path))
        else:
            self._put(step, self._record(step, attempts, at=step.next))

    def hand_over(self, step: Step, delivery: dict[str, Any], stop: Stop = never) -> None:
        """Leave the delivery on the board for beat (moves.admission_dispatch), after `working`. Waits for
        Redis, since otherwise the whole plot would be read again; beat decides again if `stop` is set."""
        move = self._record(step, self._attempts(step), at=step.next, delivery=delivery)
        while not self._put(step, move):
            if stop.is_set():
                return
            time.sleep(_REDIS_PAUSE_S)
            move = move.model_copy(update={"expires_at": CLOCK.now() + MOVE_LIFETIME})
        self.tell(step, "sent", f"{step.path} is sent to {step.harvester}")

    def superseded(self, step: Step) -> bool:
        """Whether another move of the same plot is under way: beat replaced this step's move while its
        message was in a queue. False if the board cannot be read."""
        now = CLOCK.now()
        return step.move is not None and any(
            move.path == step.path
            and move.move not in (None, step.move)
            and move.retry_at is None
            and move.expires_at > now
            for move in self._moves(step.plotter)
        )

    def over(self, step: Step) -> None:
        """Delete this move from the board, since its plot no longer exists there, or is not to leave. Another
        move of the plot stays."""
        if any(
            move.path == step.path and move.move in (None, step.move) for move in self._moves(step.plotter)
        ):
            self._quietly(lambda: self._board.drop_move(step.plotter, step.path))

    def tell(self, step: Step, kind: str, text: str) -> None:
        """Put an event about this plot on the stream."""
        self._tell(
            Event(
                kind=kind,
                host=step.host,
                at=datetime.now(UTC),  # which the publisher corrects
                text=text,
                plot_id=step.plot_id,
                task_id=step.task_id,
                size_bytes=step.size_bytes,
            )
        )

    def _failed(self, step: Step, attempts: int, error: Exception) -> None:
        refused = isinstance(error, PlotRefused)
        reason = reason_of(error, step.host)
        pause = _NEVER if refused else timedelta(seconds=pause_s(step.step, attempts))
        move = self._record(
            step,
            attempts,
            reason=f"refused: {reason}" if refused else reason,
            retry_at=CLOCK.now() + pause,
            absent=isinstance(error, NoRoom | DriveFailed),
        )
        self._put(step, move)
        if refused:
            kind, text = "refused", f"{step.path} was refused by {step.harvester}: {reason}"
        else:
            kind, text = "transfer-failed", f"{step.path}, {step.step}: {reason}"
        log.warning("%s", text, extra={"action": kind, "host": step.host, "plot_id": step.plot_id})
        self.tell(step, kind, text)

    def _renew(self, step: Step, attempts: int, done: threading.Event, doing: Doing) -> None:
        while True:
            written = self._put(step, self._record(step, attempts, doing=doing.text))
            # After an outage renew soon: without a renewal beat orders the plot again.
            if done.wait(RENEW_S if written else _REDIS_PAUSE_S):
                return

    def _put(self, step: Step, move: PendingMove) -> bool:
        """Returns False if the board could not be written."""
        return self._quietly(lambda: self._board.put_move(step.plotter, move))

    def _record(
        self,
        step: Step,
        attempts: int,
        at: MoveStep | None = None,
        reason: str | None = None,
        retry_at: datetime | None = None,
        lifetime: timedelta = MOVE_LIFETIME,
        absent: bool = False,
        delivery: dict[str, Any] | None = None,
        doing: str | None = None,
    ) -> PendingMove:
        return PendingMove(
            path=step.path,
            harvester=step.harvester,
            size_bytes=step.size_bytes,
            step=at or step.step,
            expires_at=CLOCK.now() + lifetime,
            task_id=step.task_id,
            attempts=attempts,
            reason=reason,
            retry_at=retry_at,
            move=step.move,
            absent=absent,
            delivery=delivery,
            doing=doing,
        )

    def move_of(self, plotter: str, path: str) -> PendingMove | None:
        """The plot's move on the board."""
        return next((move for move in self._moves(plotter) if move.path == path), None)

    def _attempts(self, step: Step) -> int:
        """Failures in a row so far, by the board."""
        move = self.move_of(step.plotter, step.path)
        return move.attempts if move else 0

    def _moves(self, plotter: str) -> list[PendingMove]:
        """All moves of a plotter; none if the board cannot be read."""
        found: list[PendingMove] = []
        self._quietly(lambda: found.extend(self._board.moves([plotter]).get(plotter, [])))
        return found

    def _quietly(self, write: Callable[[], None]) -> bool:
        """Returns False if the board could not be written."""
        try:
            write()
        except BrokerError as error:
            log.debug("a move cannot be written to the board, or read: %s", error)
            return False
        return True


def reason_of(error: Exception, host: str) -> str:
    """Why a step on this host failed, for operators of other machines."""
    if isinstance(error, OSError) and error.strerror:
        return f"{host}: {error.filename or 'a file'}: {error.strerror}"
    return str(error) if isinstance(error, PlotmanError) else f"{type(error).__name__}: {error}"


def _counted(step: Step, attempts: int) -> int:
    """Failures in a row, this one included. Failed reservations do not count: after a night without space on
    any drive the first transfer starts with all its tries and short pauses."""
    return attempts if step.step is MoveStep.RESERVE else attempts + 1


def _end(renewal: threading.Thread, done: threading.Event) -> None:
    """End the renewal, which must not overwrite what follows; does not wait long for a Redis that hangs."""
    done.set()
    renewal.join(timeout=5)
