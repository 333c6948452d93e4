"""Carries out operators' orders to a plotter host, and counts its plotters' failures: stored and reported."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

from common.model import holds
from common.model.holds import HoldOrder
from common.names import STARTS_NONE
from plotter_worker.reporting.events import PlotterEvents
from plotter_worker.state.operator import Change, OperatorState, OperatorStateFile


def starts_none() -> str | None:
    """Why this worker starts no plots at all; None if it may start some."""
    return "`plotman archive` starts none; `plotman plot` does" if STARTS_NONE in os.environ else None


class OperatorActions:
    """For several threads.

    Args:
        state_dir: where the state survives restarts.
        lock: the host's, so that a snapshot shows a change and its reason together.
    """

    def __init__(self, state_dir: Path, lock: threading.RLock, events: PlotterEvents) -> None:
        self._lock = lock
        self._events = events
        self._file = OperatorStateFile(state_dir)

    @property
    def state(self) -> OperatorState:
        return self._file.state

    def hold(self, order: HoldOrder, key: str, text: str) -> str:
        """Pause or drain.

        Args:
            key: what is held, one of `common.model.holds`' keys or a directory.
            text: what the host does from now on.

        Returns:
            The text with reason, author and end.
        """
        now = datetime.now(UTC)
        sentence = holds.sentence(text, order.hold(now), now, holds.utc_offset_s())
        self.change(lambda state: state.with_hold(key, order.hold(now), order.after), sentence)
        self._events.publish_now()  # the operator may look at the board next
        return sentence

    def unpause(self) -> str:
        text = self._lift(OperatorState.unpaused, "starts plots as the rules allow")
        still = None if self.state.plotting_held(datetime.now(UTC)) else starts_none()
        return f"{text}, but no plots start: {still}" if still else text

    def lift(self, keys: Sequence[str], text: str, suffix: str = "") -> str:
        """Lift the holds under `keys`.

        Args:
            text: what the host does from now on.
            suffix: follows it.

        Returns:
            The text; or which hold still keeps plots from starting, if that matters to what is lifted.
        """
        return self._lift(
            lambda state: state.without_holds(*keys), text, suffix, is_of_starts=holds.ARCHIVING not in keys
        )

    def drains(self) -> list[str]:
        """Keys of the drains that hold now."""
        return holds.drains(self.state.holds, datetime.now(UTC))

    def _lift(self, change: Change, text: str, suffix: str = "", is_of_starts: bool = True) -> str:
        self.change(change, text + suffix)
        self._events.publish_now()
        still = self.state.pause_reason(datetime.now(UTC), holds.utc_offset_s()) if is_of_starts else None
        if still is None:
            return text + suffix
        if self.state.held(holds.PLOTTING, datetime.now(UTC)) is not None:
            still = f"plotting is {still if still.startswith('paused') else f'paused: {still}'}"
        return f"still starts no plots: {still}{suffix}"

    def expire(self, now: datetime) -> None:
        """Lift holds whose time has passed, and report it. Correct times after the clock was set back."""
        if self._apply(lambda state: state.not_after(now)):
            self._events.changed()
        for key in holds.over(self.state.holds, now):
            what = {holds.PLOTTING: "plotting", holds.ARCHIVING: "archiving", holds.ALL: "the host"}
            self.change(
                lambda state, key=key: state.without_holds(key),  # type: ignore[misc]
                f"resumes {what.get(key, key)}: the hold has expired",
            )

    def change(self, change: Change, text: str) -> None:
        """Change the operator state, and report `text`: what the host does from now on."""
        self._apply(change)
        self._events.operator_changed(text)

    def refuse_plot(self, path: str, reason: str) -> None:
        """Do not send this plot again: a harvester refused it."""
        self._apply(lambda state: state.with_refused(path, reason))
        self._events.changed()

    def forget_refused(self, present: Collection[str]) -> None:
        """Drop refused plots whose paths are not `present` any more."""
        if not self.state.refused.keys() <= set(present):
            self._apply(lambda state: state.with_refused_only(present))

    def started(self, at: datetime, task_id: str) -> None:
        """Count a start, unless it is counted."""
        self._apply(lambda state: state.after_start(at, task_id))

    def restored(self, task_ids: Sequence[str]) -> None:
        """An older plotman, which noted no starts, has counted these."""
        self._apply(lambda state: state.with_counted(task_ids))

    def works(self, started_at: datetime) -> None:
        """Clear the count of failures: a plotter that started then is plotting."""
        if self._apply(lambda state: state.after_success(started_at)):
            self._events.changed()

    def died_at_once(self, reason: str, at: datetime, limit: int | None) -> None:
        """Count a plotter that died at once, and report it.

        Args:
            limit: failures in a row that stop plotting; None: not known.
        """
        self._apply(lambda state: state.after_failure(reason, at))
        count = self.state.failures.consecutive
        self._events.died_at_once(count, count if limit is None else limit, reason)

    def _apply(self, change: Change) -> bool:
        """Whether that changed the state."""
        with self._lock:
            return self._file.change(change)
