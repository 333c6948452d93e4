"""What persons have said to a plotter host, and what it has learnt of its plotters, told and kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from plotter_worker.news import News
from plotter_worker.steering import Steering, SteeringFile


class Steered:
    """`lock` is the host's: a snapshot shows a change and its reason together."""

    def __init__(self, state_dir: Path, lock: threading.RLock, news: News) -> None:
        self._lock = lock
        self._news = news
        self._file = SteeringFile(state_dir)

    @property
    def now(self) -> Steering:
        return self._file.now

    def pause(self, reason: str, after: int | None) -> None:
        said = f"no more plots: {reason}" if after is None else f"{after} more plots"
        self.change(lambda steering: steering.pause(reason, after), f"starts {said}")

    def unpause(self) -> None:
        self.change(SteeringFile.unpause, "starts plots as the rules allow")

    def change(self, change: Callable[[SteeringFile], None], text: str) -> None:
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

    def works(self) -> None:
        """A plotter got as far as plotting."""
        with self._lock:
            self._file.works()

    def died_at_once(self, reason: str, at: datetime, limit: int | None) -> None:
        """Count it and tell. limit: so many in a row are too many; None: not known."""
        with self._lock:
            count = self._file.died_at_once(reason, at)
        self._news.died_at_once(count, count if limit is None else limit, reason)
