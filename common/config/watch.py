"""plotman.yaml in a process that runs: load it at the start, and reload it when it changes.

A good file takes effect (most keys at once, some at the next start), a bad one is reported. A copy of the
last good one, a plain plotman.yaml below one line that names the original, serves processes that start
meanwhile, also after a boot.
"""

from __future__ import annotations

import codecs
import logging
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from common.config import Config, Level, Problem, default_path, load
from common.config.loader import Reading, read, read_bytes
from common.config.sections.base import Section
from common.config.sections.farm import default_state_dir
from common.errors import ConfigError
from common.model.paths import one_spelling
from common.model.snapshot import Event
from common.model.units import counted
from common.names import Role
from common.system import statefile
from common.system.openfile import read_own

log = logging.getLogger(__name__)

_UNCHANGED_S = 2.0  # pause between two checks of an unchanged file
_CHANGED_S = 0.5  # pause after a change
_MOST_ERRORS = 3  # in a report; `plotman config check` prints all
# One process of a host sends the events; all of them show the problems.
_REPORTERS = (Role.PLOTTER, Role.HARVESTER)
# `farm: state` in a text that may not be YAML: a hint where the copy is. Its first line has to confirm it.
_STATE = re.compile(
    r"""^[^#\n]*?\bstate:[ \t]+(?:"([^"\n]+)"|'([^'\n]+)'|([^\s,}#"'][^\n,}#]*))""", re.MULTILINE
)


def load_to_run(path: Path | None = None, warn: Callable[[str], None] | None = None) -> Config:
    """Load the configuration for a process of the farm: the last good one if the file has errors.

    Args:
        path: of the file; None: `default_path()`.
        warn: called with the errors if the last good one is used.

    Raises:
        ConfigError: the file has errors and there is no last good one, or there is no file.
    """
    path = path or default_path()
    try:
        return load(path)
    except ConfigError as error:
        kept = last_good(path)
        if kept is None:
            raise
        if warn is not None:
            warn(f"{error}\nUntil it is corrected, the last good plotman.yaml stays in effect.")
        return kept


def keep(path: Path, reading: Reading) -> None:
    """Keep a copy of a configuration that took effect. Logs a warning if it cannot be written."""
    if reading.config is None:
        return
    copy = _copy_in(reading.config.state_dir)
    content = _first_line(path) + reading.raw.removeprefix(codecs.BOM_UTF8)
    try:
        with suppress(OSError):
            if read_own(copy) == content:
                return
        statefile.private_folder(copy.parent)
        statefile.replace(copy, content)
    except OSError as error:
        log.warning("%s cannot be written, so the last good plotman.yaml is not kept: %s", copy, error)


def last_good(path: Path) -> Config | None:
    """The last configuration from `path` that took effect; None if it is unknown or no longer valid."""
    try:
        text = path.read_bytes().decode(errors="replace")
    except OSError:
        return None
    for state_dir in _state_dirs(path, text):
        try:
            # It names programs to run.
            first, newline, raw = read_own(_copy_in(state_dir)).partition(b"\n")
        except OSError:
            continue
        if first + newline == _first_line(path):
            return read_bytes(path, raw).config
    return None


def _copy_in(state_dir: Path) -> Path:
    return state_dir / "last-good-plotman.yaml"


def _first_line(path: Path) -> bytes:
    return f"# Kept by plotman: the last good {path.absolute()}\n".encode()


def _state_dirs(path: Path, text: str) -> Iterator[Path]:
    for found in _STATE.finditer(text):
        named = next(filter(None, found.groups()))
        yield path.absolute().parent / one_spelling(named.strip())
    yield default_state_dir()


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
        self._path = path or default_path()
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
        change = compared(self._running, reading.config)
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
        keep(self._path, reading)
        self._problems = (sentence(change.at_start),) if change.at_start else ()
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


S = TypeVar("S", bound=Section)

# Read at the start of `plotman up` and the workers: sockets, processes and folders depend on them.
_AT_START = (
    "farm",
    "archiving.target",
    "archiving.target_definitions",
    "archiving.env",
    "archiving.index",
    "archiving.concurrency",
    "harvester.receiver_address",
    "harvester.receiver_port",
    "harvester.receiver_tls",
    "logging.transfers",
    "logging.disk_spaces",
    "logging.application",
)
_LIVE = ("farm.max_jobs", "farm.stagger_m")
# They decide which processes this machine runs, which `plotman up` starts.
_ROLES = ("directories", "scheduling", "plotting", "archiving", "harvester")


@dataclass(frozen=True)
class ConfigChange:
    """A change of the configuration.

    settings: in effect from now on; keys that are read at the start keep their former values.
    live: keys, with dots, that take effect now.
    at_start: keys that take effect at the next start.
    """

    settings: Config
    live: tuple[str, ...] = ()
    at_start: tuple[str, ...] = ()


def compared(running: Config, read: Config) -> ConfigChange:
    """Compare the settings in effect (`running`) with those in the file (`read`)."""
    keys = list(differing(running, read))
    at_start = tuple(key for key in keys if _at_start(key, running, read))
    settings = read
    for key in at_start:
        settings = _with(settings, key.split("."), _value(running, key))
    return ConfigChange(settings, tuple(key for key in keys if key not in at_start), at_start)


def differing(one: Section, other: Section, above: str = "") -> Iterator[str]:
    """Keys whose values differ; a section that only one of the two has is one key."""
    for name in type(one).model_fields:
        # Only one of the two may have the section of a packaged plotter.
        mine, others = getattr(one, name), getattr(other, name, None)
        if isinstance(mine, Section) and isinstance(others, Section):
            yield from differing(mine, others, f"{above}{name}.")
        elif mine != others:
            yield f"{above}{name}"


def sentence(at_start: Sequence[str]) -> str:
    """State which keys wait for a restart."""
    verb = "has" if len(at_start) == 1 else "have"
    names = ", ".join(at_start[:-1]) + " and " + at_start[-1] if len(at_start) > 1 else at_start[0]
    return f"plotman.yaml: {names} {verb} changed, which takes effect when `plotman up` is restarted."


def _at_start(key: str, running: Config, read: Config) -> bool:
    if key in _ROLES:
        return getattr(running, key) is None or getattr(read, key) is None
    if key == "notifications.targets":  # it decides whether the notifier runs at all
        return running.runs_notifier != read.runs_notifier
    return key not in _LIVE and any(key == start or key.startswith(f"{start}.") for start in _AT_START)


def _value(section: Any, key: str) -> Any:
    for name in key.split("."):
        section = getattr(section, name)
    return section


def _with(section: S, path: Sequence[str], value: Any) -> S:
    """A copy of the section in which the key at `path` has this value."""
    name, *below = path
    inner = _with(getattr(section, name), below, value) if below else value
    return section.model_copy(update={name: inner})
