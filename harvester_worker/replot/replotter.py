"""Follows the order to replace old plots by new ones on this harvester: operators' tasks, and one thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from common.errors import OrderRefused, PlotmanError, TransferFailed
from common.model.replot_order import ReplotOrder, ReplotSwitch
from common.model.replot_report import ReplotReport
from common.model.snapshot import Event
from common.worker.publisher import Publisher
from harvester_worker.intake.arrival import Landing
from harvester_worker.inventory.entry import made, month_text
from harvester_worker.replot import ledger, reporting
from harvester_worker.replot.journal import Credit, Journal, JournalFile, Victim, VictimStep, now_utc
from harvester_worker.replot.replacer import Replacer
from harvester_worker.replot.settings import ReplotSettings
from harvester_worker.replot.surroundings import Surroundings

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 5.0
_REFUSALS_EVERY_S = 600.0  # published; the log has them all


class Replotter:
    """One per harvester. Watches what arrives (harvester_worker.intake.arrival.LandingWatch)."""

    def __init__(
        self,
        around: Surroundings,
        state_dir: Path,
        settings: ReplotSettings,
        history: Callable[[Victim], None],
        publisher: Publisher,
    ) -> None:
        """
        Args:
            around: the harvester.
            settings: of this machine's plotman.yaml; may be replaced at any time.
            history: gets each plot that was deleted, some twice.
            publisher: of the harvester's snapshots and events.
        """
        self._host = around.host
        self.settings = settings
        self._publish = publisher.tell
        self._changed = publisher.changed
        self._journal = JournalFile(state_dir)
        self._replacer = Replacer(around, self._journal, lambda: self.settings, history, self._tell)
        self._refusal_s = -_REFUSALS_EVERY_S  # monotonic: the last one that was published
        self._stopped: str | None = None  # why, as published last
        self._ending = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="replot", daemon=True)

    def open(self) -> None:
        """Read the journal, before plots arrive."""
        try:
            self._journal.open()
        except OSError as error:
            self._journal.trouble = f"the journal of replaced plots cannot be opened: {error}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """A plot that is being deleted gets its name back, or is deleted, at the next start."""
        self._ending.set()
        self._wake.set()
        self._journal.close()

    def report(self) -> ReplotReport | None:
        """For the snapshot; does not access a drive. None: there is no order."""
        journal, order = self._journal.now, self._journal.now.order
        return reporting.report(
            journal,
            self._journal.trouble,
            self.settings.why_not,
            self._replacer.why,
            self.settings.limits(order).low_water_bytes if order else 0,
            now_utc().date(),
            self._replacer.left,
        )

    def begin(self, order: ReplotOrder) -> str:
        """Keep an order in place of an earlier one, and begin. Returns a sentence. Raises OrderRefused."""
        self._must_be_allowed()
        self._change(partial(ledger.ordered, order=order, now=now_utc()))
        return self._said("replot-begun", f"replaces old plots by new ones: {_names(order)}", order)

    def pause(self, order: ReplotSwitch) -> str:
        """Delete no more old plots until `resume`. Returns a sentence. Raises OrderRefused."""
        self._must_have_order()
        words = " ".join(filter(None, (order.reason, f"({order.by})" if order.by else None)))
        self._change(lambda now: now.model_copy(update={"paused": words}))
        return self._said("replot-paused", f"pauses the replacing of old plots{self._in_work()}", order)

    def resume(self, order: ReplotSwitch) -> str:
        """End a pause. Returns a sentence. Raises OrderRefused."""
        self._must_have_order()
        self._must_be_allowed()
        self._change(lambda now: now.model_copy(update={"paused": None}))
        return self._said("replot-resumed", "resumes the replacing of old plots", order)

    def end(self, order: ReplotSwitch) -> str:
        """End the order. Returns a sentence. Raises OrderRefused."""
        self._must_have_order()
        self._change(ledger.stopped)
        return self._said("replot-ended", f"replaces no more old plots{self._in_work()}", order)

    def landing(self, landing: Landing) -> None:
        """Count a plot that is about to get its name on a drive. In the drive's thread. Raises TransferFailed
        or OSError if that cannot be kept, while there is an order or may be one: the admission is tried
        again. A plot that got its name uncounted would be old. Where the journal is lost, plots arrive as
        without an order: the next order is later."""
        if self._journal.is_lost:
            return
        if (trouble := self._journal.trouble) is not None:
            if self.settings.allowed or self._journal.may_have_order():
                raise TransferFailed(
                    f"{landing.final.name} cannot be counted for the replacing of old plots: {trouble}.",
                    "The source is kept, and it is tried again.",
                )
            return
        if self._journal.now.order is None:
            return
        status = landing.file.lstat()
        credit = Credit(
            plot_id=landing.plot_id,
            drive=str(landing.final.parent),
            name=landing.final.name,
            inode=status.st_ino,
            size_bytes=status.st_size,
            left_bytes=min(status.st_size, status.st_blocks * 512),  # of a sparse file, what it takes
        )
        plots = landing.header.plot_class()
        month = month_text(made(landing.final.name, status.st_mtime))

        def noted(journal: Journal) -> Journal:
            classes = journal.order.classes if journal.order else ()
            is_old = any(one.old.matches(plots, month) for one in classes)
            counts = landing.proofs > 0 and not landing.evacuates and not is_old and credit.left_bytes > 0
            return ledger.landed(journal, credit, counts)

        try:
            self._journal.change(noted)
        except OrderRefused as error:
            raise TransferFailed(
                f"{landing.final.name} cannot be counted: {error}", "The source is kept."
            ) from error
        self._wake.set()

    def refused(self, drive: str, why: str) -> None:
        """A plot that arrived on a drive was refused: none of its plots goes until another one arrives."""
        try:
            self._journal.change(partial(ledger.refused, drive=drive, why=why[:200]))
        except (OSError, PlotmanError) as error:
            log.warning("that %s refused a plot is not kept: %s", drive, error)

    def _run(self) -> None:
        names_given = False
        while not self._ending.is_set():
            more = False
            before = self.report()
            try:
                self.open()
                if not names_given:
                    self._replacer.give_names_back()
                    names_given = True
                if self._journal.trouble is None:
                    self._replacer.recover()
                    more = self._replacer.once()
            except (OSError, PlotmanError) as error:
                self._replacer.why = f"{error}"
                log.warning("no old plot is replaced: %s", error, extra={"action": "replot-failed"})
            except Exception as error:
                self._replacer.why = f"an error of plotman: {error}"
                log.exception("no old plot is replaced", extra={"action": "replot-failed"})
            self._tell_stopped()
            if self.report() != before:
                self._changed()
            if not more:
                self._wake.wait(_LOOK_EVERY_S)
                self._wake.clear()

    def _tell_stopped(self) -> None:
        why = self._journal.trouble or (self.settings.why_not if self._journal.now.order else None)
        if why != self._stopped and not self._ending.is_set():
            self._stopped = why
            if why is not None:
                self._tell("replot-stopped", f"replaces no old plots: {why}", None)

    def _must_be_allowed(self) -> None:
        if (why := self.settings.why_not) is not None:
            raise OrderRefused(f"{self._host} replaces no old plots: {why}.", "Change it there first.")

    def _must_have_order(self) -> None:
        if self._journal.trouble is None and self._journal.now.order is None:
            raise OrderRefused(f"{self._host} has no order to replace old plots.", "Begin one first.")

    def _in_work(self) -> str:
        """Words for a plot whose deletion cannot be stopped any more."""
        victim = self._journal.now.victim
        is_late = victim is not None and victim.step is VictimStep.DELETING
        return f"; {victim.path} is being deleted now" if victim is not None and is_late else ""

    def _change(self, changed: Callable[[Journal], Journal]) -> None:
        """Raises OrderRefused."""
        try:
            self._journal.change(changed)
        except OSError as error:
            raise OrderRefused(f"The order cannot be kept: {error}.", "Free space for farm.state.") from error
        self._wake.set()

    def _said(self, kind: str, text: str, order: ReplotOrder | ReplotSwitch) -> str:
        why = f": {order.reason}" if order.reason else ""
        self._tell(kind, f"{text}{why} ({order.by})" if order.by else f"{text}{why}", None)
        return text

    def _tell(self, kind: str, text: str, victim: Victim | None) -> None:
        text = f"{self._host} {text}"
        log.info(text, extra={"action": kind, "host": self._host})
        if kind == "replot-refused":
            if time.monotonic() - self._refusal_s < _REFUSALS_EVERY_S:
                return
            self._refusal_s = time.monotonic()
        plot_id, size_bytes = (victim.plot_id, victim.size_bytes) if victim else (None, None)
        event = Event(
            kind=kind, host=self._host, at=now_utc(), text=text, plot_id=plot_id, size_bytes=size_bytes
        )
        self._publish(event)


def _names(order: ReplotOrder) -> str:
    return ", ".join(one.name for one in order.classes)
