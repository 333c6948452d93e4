"""A step of a plot's way to its drive, kept in view on the notice board while somebody works on it."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from common.errors import BrokerError, DriveFailed, NoRoom, PlotmanError, PlotRefused
from common.model.pending import MoveStep, PendingMove
from common.model.snapshot import Event
from common.names import MOVE_LIFETIME
from common.store import Board

log = logging.getLogger(__name__)

RENEW_S = 15.0
_REDIS_PAUSE_S = 1.0

# A step of milliseconds may be tried again soon; one that reads or sends a whole plot may not.
_RESERVE_PAUSE_S = 30.0
_FIRST_PAUSE_S = 10.0
_LONGEST_PAUSE_S = 3600.0
_NEVER = timedelta(days=3650)


class StepInterrupted(Exception):
    """This worker leaves; the step is unfinished, and whoever looks next takes it up again."""


class Stop(Protocol):
    """What a step asks whether it shall end; common.worker.pool.StopEvent is one."""

    def is_set(self) -> bool: ...


class _Never:
    def is_set(self) -> bool:
        return False


never: Stop = _Never()


class Doing:
    """What a long step does now, in words for operators; None: nothing worth telling. Set by the thread that
    works, read by the one that renews the move."""

    text: str | None = None


def pause_s(step: MoveStep, attempts: int) -> float:
    """Seconds until the next try after so many failures in a row: 10, 30, 90 ... up to an hour; always the
    same where a reservation failed."""
    if step is MoveStep.RESERVE:
        return _RESERVE_PAUSE_S
    return float(min(_FIRST_PAUSE_S * 3 ** min(attempts - 1, 10), _LONGEST_PAUSE_S))


@dataclass(frozen=True, slots=True)
class Step:
    """plotter: host whose plot it is. host: who works on this step. next: step that follows, None for the
    last one. move: see PendingMove."""

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


class MoveHeartbeat:
    """tell: puts an event on the stream; must not raise when Redis is away, as common.worker.publisher's."""

    def __init__(self, board: Board, tell: Callable[[Event], None]) -> None:
        self._board = board
        self._tell = tell

    @contextlib.contextmanager
    def working(self, step: Step, doing: Doing | None = None) -> Iterator[None]:
        """Keep the move alive while the body runs, and show what it is `doing`. Afterwards it stands at the
        next step, or is gone after the last one; where the body raised, it says why, how often, and when to
        try again.

        A missing Redis stops none of this: what could not be written is decided anew by beat.
        """
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
            # To be decided anew at once.
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
        """Leave the delivery with beat, which passes it on (moves.admission_dispatch); after `working`.

        Waits for a Redis that is away: otherwise the plot would be read once more as a whole. Gives up when
        `stop` is set; beat then decides anew.
        """
        move = self._record(step, self._attempts(step), at=step.next, delivery=delivery)
        while not self._put(step, move):
            if stop.is_set():
                return
            time.sleep(_REDIS_PAUSE_S)
            move = move.model_copy(update={"expires_at": _now() + MOVE_LIFETIME})
        self.tell(step, "sent", f"{step.path} is sent to {step.harvester}")

    def superseded(self, step: Step) -> bool:
        """Whether another move of the same plot is under way: this step's message lay in a queue for so long
        that it was taken for lost. False where the notice board does not say."""
        now = _now()
        return step.move is not None and any(
            move.path == step.path
            and move.move not in (None, step.move)
            and move.retry_at is None
            and move.expires_at > now
            for move in self._moves(step.plotter)
        )

    def over(self, step: Step) -> None:
        """The plot is gone from its plotter, so that nobody goes on with this move: it leaves the notice
        board. Another move of the plot stays."""
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
                at=_now(),
                text=text,
                plot_id=step.plot_id,
                task_id=step.task_id,
                size_bytes=step.size_bytes,
            )
        )

    def _failed(self, step: Step, attempts: int, error: Exception) -> None:
        refused = isinstance(error, PlotRefused)
        reason = str(error) if isinstance(error, PlotmanError) else f"{type(error).__name__}: {error}"
        pause = _NEVER if refused else timedelta(seconds=pause_s(step.step, attempts))
        move = self._record(
            step,
            attempts,
            reason=f"refused: {reason}" if refused else reason,
            retry_at=_now() + pause,
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
            heard = self._put(step, self._record(step, attempts, doing=doing.text))
            # Redis that is back is told before beat, which finds nobody at work on the plot, orders it anew.
            if done.wait(RENEW_S if heard else _REDIS_PAUSE_S):
                return

    def _put(self, step: Step, move: PendingMove) -> bool:
        """False where the notice board did not hear it."""
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
            expires_at=_now() + lifetime,
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
        """The plot's move as the notice board has it."""
        return next((move for move in self._moves(plotter) if move.path == path), None)

    def _attempts(self, step: Step) -> int:
        """Failures in a row so far, as the notice board remembers them."""
        move = self.move_of(step.plotter, step.path)
        return move.attempts if move else 0

    def _moves(self, plotter: str) -> list[PendingMove]:
        """None where the notice board does not say."""
        found: list[PendingMove] = []
        self._quietly(lambda: found.extend(self._board.moves([plotter]).get(plotter, [])))
        return found

    def _quietly(self, write: Callable[[], None]) -> bool:
        """False where the notice board did not hear it."""
        try:
            write()
        except BrokerError as error:
            log.debug("the notice board does not hear of a move: %s", error)
            return False
        return True


def _counted(step: Step, attempts: int) -> int:
    """Failures in a row once this step failed too. A night without room on any drive says nothing of the way
    there: the first transfer after it has all its tries, and its short pauses, before it."""
    return attempts if step.step is MoveStep.RESERVE else attempts + 1


def _end(renewal: threading.Thread, done: threading.Event) -> None:
    """Nothing of the renewal may be written after what follows; a Redis that hangs is not waited for."""
    done.set()
    renewal.join(timeout=5)


def _now() -> datetime:
    return datetime.now(UTC)
