"""Reloads plotman.yaml in a running process: a good file takes effect, a bad one is reported."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from common import config
from common.config import Config, Level, Problem, last_good, reload
from common.config.loader import read
from common.model.snapshot import Event
from common.model.units import counted
from common.names import Role

log = logging.getLogger(__name__)

_UNCHANGED_S = 2.0  # pause between two checks of an unchanged file
_CHANGED_S = 0.5  # pause after a change
_MOST_ERRORS = 3  # in a report; `plotman config check` prints all
# One process of a host sends the events; all of them show the problems.
_REPORTERS = (Role.PLOTTER, Role.HARVESTER)


class ProblemSink(Protocol):
    """Receiver of problems and events (common.worker.publisher.Publisher); must not block."""

    def changed(self) -> None: ...

    def tell(self, event: Event) -> None: ...


class NoSink:
    """For processes without a snapshot."""

    def changed(self) -> None:
        pass

    def tell(self, event: Event) -> None:
        pass


class ConfigWatch:
    """Checks the file each 2 s. Reads it when it has not changed for half a second, because editors write in
    pieces or replace the file.
    """

    def __init__(
        self,
        settings: Config,
        role: Role | None,
        apply: Callable[[Config], None],
        outlet: ProblemSink,
        path: Path | None = None,
    ) -> None:
        """Make a watch; `start` begins to check.

        Args:
            settings: in effect now.
            role: of the process; None for beat.
            apply: called in the watch's thread with the new settings.
            outlet: receives problems and events.
            path: of the file; None: `default_path()`.
        """
        self._running = settings
        self._apply = apply
        self._outlet = outlet
        self._reports = role is not None and role == next(
            (one for one in _REPORTERS if one in settings.roles), None
        )
        self._path = path or config.default_path()
        # The file may have changed since it was read: the first check reads it again.
        self._seen: object = None
        self._read = False
        self._problems: tuple[str, ...] = ()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follow plotman.yaml", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()

    @property
    def problems(self) -> tuple[str, ...]:
        """Errors of the file, and keys in it that wait for a restart; one sentence each."""
        return self._problems

    def _run(self) -> None:
        while not self._ending.wait(_UNCHANGED_S if self._read else _CHANGED_S):
            self.check()

    def check(self) -> None:
        """Check once; read the file if it is the same as at the last check, and not read yet."""
        now = _fingerprint(self._path)
        if now != self._seen:
            self._seen, self._read = now, False
        elif not self._read:
            self._read = True
            self._take()

    def _take(self) -> None:
        reading = read(self._path)
        errors = [problem for problem in reading.problems if problem.level is Level.ERROR]
        if reading.config is None:
            self._refuse([str(error) for error in errors])
            return
        change = reload.change(self._running, reading.config)
        if change.live:
            try:
                self._apply(change.settings)
            except Exception as error:
                # No mistake in the new settings may end the worker.
                log.exception("plotman.yaml could not take effect")
                self._refuse([f"{self._path}: could not take effect: {error}"])
                return
            self._running = change.settings
            _warn(reading.problems)
            self._report(
                "config-changed", f"plotman.yaml took effect: {', '.join(change.live)}", logging.INFO
            )
        elif self._problems and not change.at_start:
            self._report("config-changed", "plotman.yaml is again the one in effect", logging.INFO)
        last_good.keep(self._path, reading)
        self._problems = (reload.sentence(change.at_start),) if change.at_start else ()
        for problem in self._problems:
            log.warning("%s", problem, extra={"action": "config-waits"})
        self._outlet.changed()

    def _refuse(self, errors: list[str]) -> None:
        shown = errors[:_MOST_ERRORS]
        if len(errors) > _MOST_ERRORS:
            more = counted(len(errors) - _MOST_ERRORS, "more error")
            shown.append(f"{more}: `plotman config check` prints them.")
        self._problems = tuple(
            f"plotman.yaml is refused, and the last good one stays in effect: {one}" for one in shown
        )
        self._report("config-refused", " ".join(self._problems), logging.ERROR)
        self._outlet.changed()

    def _report(self, kind: str, text: str, level: int) -> None:
        log.log(level, text, extra={"action": kind, "host": self._running.host})
        if self._reports:
            host = self._running.host
            self._outlet.tell(Event(kind=kind, host=host, at=datetime.now(UTC), text=f"{host}: {text}"))


def _warn(problems: tuple[Problem, ...]) -> None:
    for problem in problems:
        log.warning("%s", problem, extra={"action": "config-warning"})


def _fingerprint(path: Path) -> object:
    """A value that changes with the file; the name of the error if it cannot be read."""
    try:
        stat = path.stat()
    except OSError as error:
        return type(error).__name__
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
