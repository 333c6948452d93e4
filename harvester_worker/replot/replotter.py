"""Follows the order to replace old plots by new ones on this harvester."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common.config.sections.farm import Harvester as HarvesterSection
from common.errors import OrderRefused
from common.model.replot_order import ReplotOrder, ReplotSwitch
from common.model.replot_report import ReplotReport
from common.model.snapshot import Event
from common.worker.publisher import Publisher
from harvester_worker.replot import reporting
from harvester_worker.replot.journal import Journal, JournalFile, now_utc

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReplotSettings:
    """What this machine's plotman.yaml says of it.

    allowed: harvester.replot. proofs: challenges for each new plot.
    low_water_bytes: stays free on each drive; None: as the order says. margin_bytes: stays free in any case.
    """

    allowed: bool
    proofs: int
    low_water_bytes: int | None
    margin_bytes: int

    @classmethod
    def of(cls, section: HarvesterSection) -> ReplotSettings:
        return cls(section.replot, section.proofs, section.low_water_bytes, section.margin_bytes)

    @property
    def why_not(self) -> str | None:
        """Why nothing may be deleted; None: it may."""
        if not self.allowed:
            return "harvester.replot is not true in this machine's plotman.yaml"
        if self.proofs <= 0:
            return "harvester.proofs is 0 in this machine's plotman.yaml: new plots count only if proved"
        return None

    def low_water_of(self, order: ReplotOrder) -> int:
        """Bytes that stay free on each drive."""
        own = order.low_water_bytes if self.low_water_bytes is None else self.low_water_bytes
        return max(own, self.margin_bytes)


class Replotter:
    """One per harvester."""

    def __init__(self, host: str, state_dir: Path, settings: ReplotSettings, publisher: Publisher) -> None:
        """
        Args:
            publisher: of the harvester's snapshots and events.
        """
        self._host = host
        self.settings = settings  # may be changed at any time
        self._publish = publisher.tell
        self._journal = JournalFile(state_dir)
        self._why = "it has begun"
        self._wake = threading.Event()

    def report(self) -> ReplotReport | None:
        """For the snapshot; does not access a drive. None: there is no order."""
        low_water_bytes = self.settings.low_water_of
        trouble, stopped = self._journal.trouble, self.settings.why_not
        return reporting.report(self._journal.now, trouble, stopped, self._why, low_water_bytes, now_utc())

    def begin(self, order: ReplotOrder) -> str:
        """Keep an order in place of an earlier one, and begin. Returns a sentence. Raises OrderRefused."""
        if (why := self.settings.why_not) is not None:
            raise OrderRefused(f"{self._host} replaces no plots: {why}.", "Change it there first.")
        self._change(partial(Journal.ordered, order=order, now=now_utc()))
        text = f"replaces old plots by new ones: {', '.join(one.name for one in order.classes)}"
        self._tell("replot-begun", f"{text}{_by(order)}")
        return text

    def pause(self, order: ReplotSwitch) -> str:
        """Delete no more old plots until `resume`. Returns a sentence. Raises OrderRefused."""
        self._must_have_order()
        words = " ".join(filter(None, (order.reason, f"({order.by})" if order.by else None)))
        self._change(lambda now: now.model_copy(update={"paused": words}))
        text = "pauses the replacing of old plots"
        self._tell("replot-paused", f"{text}{_by(order)}")
        return text

    def resume(self, order: ReplotSwitch) -> str:
        """End a pause. Returns a sentence. Raises OrderRefused."""
        self._must_have_order()
        if (why := self.settings.why_not) is not None:
            raise OrderRefused(f"{self._host} replaces no plots: {why}.", "Change it there first.")
        self._change(lambda now: now.model_copy(update={"paused": None}))
        text = "resumes the replacing of old plots"
        self._tell("replot-resumed", f"{text}{_by(order)}")
        return text

    def stop_order(self, order: ReplotSwitch) -> str:
        """End the order. Returns a sentence. Raises OrderRefused."""
        self._must_have_order()
        self._change(Journal.stopped)
        text = "replaces no more old plots"
        self._tell("replot-ended", f"{text}{_by(order)}")
        return text

    def _must_have_order(self) -> None:
        if self._journal.trouble is None and self._journal.now.order is None:
            raise OrderRefused(f"{self._host} has no order to replace old plots.", "Begin one first.")

    def _change(self, changed: Callable[[Journal], Journal]) -> None:
        """Raises OrderRefused."""
        try:
            self._journal.change(changed)
        except OSError as error:
            raise OrderRefused(f"The order cannot be kept: {error}.", "Free space for farm.state.") from error
        self._wake.set()

    def _tell(self, kind: str, text: str) -> None:
        text = f"{self._host} {text}"
        log.info(text, extra={"action": kind, "host": self._host})
        self._publish(Event(kind=kind, host=self._host, at=now_utc(), text=text))


def _by(order: ReplotOrder | ReplotSwitch) -> str:
    why = f": {order.reason}" if order.reason else ""
    return f"{why} ({order.by})" if order.by else why
