"""Asks chia after each landing whether the plot is farmed; what is not is reported once."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path, PurePath

from pydantic import Field

from common.model.plot_name import plot_id_of
from common.model.snapshot import Event
from common.system import statefile
from common.system.chia_service import ChiaSilent
from common.system.probe import Hanging, Probe
from common.system.statefile import Stored
from harvester_worker.drives.registry import LOOK_S
from harvester_worker.farmed import chia_rpc
from harvester_worker.farmed.chia_rpc import ChiaView
from harvester_worker.farmed.findings import Finding, check

log = logging.getLogger(__name__)

_AGAIN_S = 60.0
_AT_ONCE_S = 2.0  # landings within this time share a question
_MOST_WATCHED = 1_000  # plots
_TOLD_KEPT = 5_000
_SHOWN = 10  # findings in the snapshot
_SILENT = "chia"


class _Told(Stored):
    subjects: tuple[str, ...] = Field(())


class FarmedWatch:
    """One thread, which sleeps until a plot lands. Without a chia root it does nothing. No method waits."""

    def __init__(
        self,
        host: str,
        root: str | None,
        file: Path,
        publish: Callable[[Event], None],
        ask: Callable[[str], ChiaView] = chia_rpc.ask,
    ) -> None:
        """
        Args:
            host: this machine.
            root: harvester.chia_root; None: nothing is asked.
            file: remembers over restarts what was reported.
            publish: called with each event; must not wait.
            ask: chia_rpc.ask.
        """
        self.root = root
        self._host = host
        self._file = file
        self._publish = publish
        self._ask = ask
        self._probe = Probe()
        self._lock = threading.Lock()
        self._landed: dict[str, float] = {}  # path -> monotonic time
        self._told = list((statefile.read(file, _Told) or _Told()).subjects)
        self._problems: tuple[str, ...] = ()
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="farmed", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()
        self._wake.set()
        self._probe.close()

    def configure(self, root: str | None) -> None:
        """Use another chia root from now on."""
        if root != self.root:
            self.root = root
            self._problems = ()
            self._wake.set()

    def landed(self, plot: str) -> None:
        """Watch for a plot that landed. plot: its path."""
        if self.root is None:
            return
        with self._lock:
            self._landed[plot] = time.monotonic()
            while len(self._landed) > _MOST_WATCHED:
                del self._landed[next(iter(self._landed))]
        self._wake.set()

    def problems(self) -> tuple[str, ...]:
        """What is not farmed now, for the snapshot."""
        return self._problems

    def real_paths(self, drives: list[str]) -> dict[str, str]:
        """The paths of drives without links, by which chia knows them. Takes LOOK_S at most; a drive that
        hangs keeps its own."""
        answers = self._probe.run_all(drives, os.path.realpath, LOOK_S)
        return {path: path if isinstance(real, Hanging) else real for path, real in answers.items()}

    def _run(self) -> None:
        while True:
            with self._lock:
                busy = bool(self._landed) and self.root is not None
            if self._wake.wait(_AGAIN_S if busy else None):
                self._ending.wait(_AT_ONCE_S)
            self._wake.clear()
            if self._ending.is_set():
                return
            try:
                self.once(time.monotonic())
            except Exception:
                log.exception("chia could not be asked", extra={"action": "farmed-failed"})

    def once(self, now_s: float) -> None:
        """Ask chia about all plots that are watched. now_s: monotonic time."""
        root = self.root
        with self._lock:
            watched = dict(self._landed)
        if root is None or not watched:
            return
        try:
            view = self._ask(root)
        except ChiaSilent as error:
            self._problems = (str(error),)
            self._tell(Finding(_SILENT, error.what.removesuffix("."), error.cure))
            return
        self._forget_told(_SILENT)
        drives = sorted({str(PurePath(plot).parent) for plot in watched})
        there = self._there(drives, watched)
        found = check(view, there, self.real_paths(drives), now_s)
        for finding in found.findings:
            self._tell(finding)
        for drive in drives:
            if all(finding.subject != drive for finding in found.findings):
                self._forget_told(drive)
        # What is found stays watched, so that the problem ends once it is mended.
        subjects = {finding.subject for finding in found.findings}
        kept = {plot for plot in there if plot in subjects or str(PurePath(plot).parent) in subjects}
        with self._lock:
            for plot in watched.keys() - kept - found.waiting:
                if self._landed.get(plot) == watched[plot]:
                    del self._landed[plot]
        self._problems = tuple(finding.sentence for finding in found.findings[:_SHOWN])

    def _there(self, drives: list[str], plots: dict[str, float]) -> dict[str, float]:
        """The plots that still exist. A drive that hangs keeps its plots."""

        def gone(drive: str) -> set[str]:
            return {
                plot for plot in plots if str(PurePath(plot).parent) == drive and not os.path.lexists(plot)
            }

        answers = self._probe.run_all(drives, gone, LOOK_S)
        missing = {plot for answer in answers.values() if isinstance(answer, set) for plot in answer}
        return {plot: landed_s for plot, landed_s in plots.items() if plot not in missing}

    def _tell(self, finding: Finding) -> None:
        """Publish a finding, unless that was done before."""
        if finding.subject in self._told:
            return
        self._told = [*self._told, finding.subject][-_TOLD_KEPT:]
        statefile.keep(self._file, _Told(subjects=tuple(self._told)), "what chia does not farm")
        log.warning("%s", finding.sentence, extra={"action": "not-farmed"})
        plot_id = plot_id_of(finding.subject)
        text = f"{self._host}: {finding.sentence}"
        at = datetime.now(UTC)
        self._publish(Event(kind="not-farmed", host=self._host, at=at, text=text, plot_id=plot_id))

    def _forget_told(self, subject: str) -> None:
        if subject in self._told:
            self._told.remove(subject)
            statefile.keep(self._file, _Told(subjects=tuple(self._told)), "what chia does not farm")
