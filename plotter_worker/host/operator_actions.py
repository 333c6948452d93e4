"""What persons have said to a plotter host, and what it has learnt of its plotters, told and kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from common.model import holds
from common.model.holds import HoldOrder
from plotter_worker.reporting.events import PlotterEvents
from plotter_worker.state.operator import OperatorState, OperatorStateFile


class OperatorActions:
    """`lock` is the host's: a snapshot shows a change and its reason together."""

    def __init__(self, state_dir: Path, lock: threading.RLock, news: PlotterEvents) -> None:
        self._lock = lock
        self._news = news
        self._file = OperatorStateFile(state_dir)

    @property
    def now(self) -> OperatorState:
        return self._file.now

    def hold(self, order: HoldOrder, key: str, text: str) -> str:
        """Stop or drain what `key` names. text: what that means, for people; the answer has all."""
        now = datetime.now(UTC)
        told = holds.sentence(text, order.hold(now), now, holds.utc_offset_s())
        self.change(lambda steering: steering.hold(key, order.hold(now), order.after), told)
        self._news.publish_now()  # whoever gets the answer, and looks, sees it
        return told

    def unpause(self) -> str:
        return self._let(OperatorStateFile.unpause, "starts plots as the rules allow")

    def let_go(self, keys: Sequence[str], text: str, more: str = "") -> str:
        """The opposite of `hold`. The answer tells what still holds.

        text: what the host does from now on. more: words that follow it.
        """
        return self._let(lambda steering: steering.let_go(*keys), text, more)

    def drains(self) -> list[str]:
        """Keys of the drains that hold now."""
        return holds.drains(self.now.holds, datetime.now(UTC))

    def _let(self, change: Callable[[OperatorStateFile], None], text: str, more: str = "") -> str:
        self.change(change, text + more)
        self._news.publish_now()
        still = self.now.pause_reason(datetime.now(UTC), holds.utc_offset_s())
        return f"{text}, but no plots start: {still}{more}" if still else text + more

    def expire(self, now: datetime) -> None:
        """Let go what was to end by itself, and tell."""
        for key in holds.over(self.now.holds, now):
            what = {holds.PLOTTING: "plotting", holds.ARCHIVING: "archiving", holds.ALL: "the host"}
            self.change(
                lambda steering, key=key: steering.let_go(key),  # type: ignore[misc]
                f"goes on with {what.get(key, key)}: the time is over that was said",
            )

    def change(self, change: Callable[[OperatorStateFile], None], text: str) -> None:
        """Change what a person has said; text: what this host does from now on."""
        with self._lock:
            change(self._file)
        self._news.steered(text)

    def refused_plots(self) -> list[str]:
        """Paths of plots that a harvester did not take."""
        return sorted(self.now.refused)

    def refuse_plot(self, path: str, reason: str) -> None:
        """A harvester did not take this plot; it is not sent again."""
        with self._lock:
            self._file.refuse(path, reason)
        self._news.changed()

    def forget_refused(self, keep: Iterable[str]) -> None:
        with self._lock:
            self._file.forget_refused(keep=set(keep))

    def started(self, at: datetime) -> None:
        with self._lock:
            self._file.started(at)

    def works(self, started_at: datetime) -> None:
        """A plotter that started then got as far as plotting."""
        with self._lock:
            before = self._file.now.failures
            self._file.works(started_at)
            cleared = self._file.now.failures != before
        if cleared:
            self._news.changed()

    def died_at_once(self, reason: str, at: datetime, limit: int | None) -> None:
        """Count it and tell. limit: so many in a row are too many; None: not known."""
        with self._lock:
            count = self._file.died_at_once(reason, at)
        self._news.died_at_once(count, count if limit is None else limit, reason)
