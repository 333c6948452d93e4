"""Which plots are being taken in: nothing is reserved for one meanwhile, since that may cut its part."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

from common.errors import TransferFailed


class IntakeLocks:
    """Plots by id, each either reserved for or taken in. The notice board does not tell which: it may have
    lost the move of a plot whose checks take minutes, and beat then orders the plot to be sent anew."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._reserving: Counter[str] = Counter()
        self._taking_in: Counter[str] = Counter()

    def takes_in(self, plot_id: str | None) -> bool:
        with self._changed:
            return plot_id in self._taking_in

    @contextlib.contextmanager
    def reserving(self, plot_id: str) -> Iterator[None]:
        """Raises TransferFailed at once for a plot that is being taken in."""
        with self._changed:
            if plot_id in self._taking_in:
                raise TransferFailed(f"{plot_id} is being taken in.", "Let that end.")
            self._reserving[plot_id] += 1
        try:
            yield
        finally:
            self._left(self._reserving, plot_id)

    @contextlib.contextmanager
    def taking_in(self, plot_id: str) -> Iterator[None]:
        """Waits for a reservation of the same plot, which is a matter of moments. A message may come twice:
        two may take in one plot."""
        with self._changed:
            self._changed.wait_for(lambda: plot_id not in self._reserving)
            self._taking_in[plot_id] += 1
        try:
            yield
        finally:
            self._left(self._taking_in, plot_id)

    def _left(self, plots: Counter[str], plot_id: str) -> None:
        with self._changed:
            plots[plot_id] -= 1
            if not plots[plot_id]:
                del plots[plot_id]
            self._changed.notify_all()
