"""Lets a process follow its plotman.yaml while it runs: a good file takes effect, a bad one is told of."""

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

_REST_S = 2.0  # between two looks at a file that stays as it is
_LOOK_S = 0.5  # to the next when it has changed
_TOLD = 3  # errors that are told in full; `plotman config check` tells all
# One process of a host tells the farm; all of them show it.
_TELLERS = (Role.PLOTTER, Role.HARVESTER)


class ProblemSink(Protocol):
    """Where it is told (common.worker.publisher.Publisher); must not wait."""

    def changed(self) -> None: ...

    def tell(self, event: Event) -> None: ...


class NoSink:
    """For processes that put no snapshot on the board."""

    def changed(self) -> None:
        pass

    def tell(self, event: Event) -> None:
        pass


class ConfigWatch:
    """Looks at the file each 2 s, and reads it when it has been left alone for half a second: editors write
    in pieces, or put another file in its place.

    settings: what the process goes by. apply: called in the watch's thread with what is to hold from now on.
    role: of the process; None for beat. path: None for the one that every process of this machine reads.
    """

    def __init__(
        self,
        settings: Config,
        role: Role | None,
        apply: Callable[[Config], None],
        outlet: ProblemSink,
        path: Path | None = None,
    ) -> None:
        self._running = settings
        self._apply = apply
        self._outlet = outlet
        self._tells = role is not None and role == next(
            (one for one in _TELLERS if one in settings.roles), None
        )
        self._path = path or config.default_path()
        # The file may have changed since it was read: the first look reads it again.
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
        """What is wrong with the file, and what in it waits for a restart; one sentence each."""
        return self._problems

    def _run(self) -> None:
        while not self._ending.wait(_REST_S if self._read else _LOOK_S):
            self.look()

    def look(self) -> None:
        """Look once; the second look that finds the same reads."""
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
                # The worker goes on as it is, whatever is wrong with the new settings.
                log.exception("plotman.yaml could not be put into effect")
                self._refuse([f"{self._path}: it could not be put into effect: {error}"])
                return
            self._running = change.settings
            _warn(reading.problems)
            self._say("config-changed", f"plotman.yaml took effect: {', '.join(change.live)}", logging.INFO)
        elif self._problems and not change.at_start:
            self._say("config-changed", "plotman.yaml is as it was when it last took effect", logging.INFO)
        last_good.keep(self._path, reading)
        self._problems = (reload.sentence(change.at_start),) if change.at_start else ()
        for problem in self._problems:
            log.warning("%s", problem, extra={"action": "config-waits"})
        self._outlet.changed()

    def _refuse(self, errors: list[str]) -> None:
        told = errors[:_TOLD]
        if len(errors) > _TOLD:
            told.append(f"{counted(len(errors) - _TOLD, 'more error')}: `plotman config check` tells them.")
        self._problems = tuple(f"plotman.yaml is refused, and the last good one holds: {one}" for one in told)
        self._say("config-refused", " ".join(self._problems), logging.ERROR)
        self._outlet.changed()

    def _say(self, kind: str, text: str, level: int) -> None:
        log.log(level, text, extra={"action": kind, "host": self._running.host})
        if self._tells:
            host = self._running.host
            self._outlet.tell(Event(kind=kind, host=host, at=datetime.now(UTC), text=f"{host}: {text}"))


def _warn(problems: tuple[Problem, ...]) -> None:
    for problem in problems:
        log.warning("%s", problem, extra={"action": "config-warning"})


def _fingerprint(path: Path) -> object:
    """Differs when the file does; a word where there is none."""
    try:
        stat = path.stat()
    except OSError as error:
        return type(error).__name__
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
