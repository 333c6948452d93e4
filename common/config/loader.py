"""Reads a plotman.yaml and nothing else; `environment` checks the machine."""

from __future__ import annotations

import copy
import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from common.config import default_path, document, legacy, rules
from common.config.error_messages import worded
from common.config.model import LENIENT, Config
from common.config.problems import Finding, Level, Location, Problem
from common.config.sections.base import BELOW, VERSION
from common.config.sections.scheduling import Scheduling
from common.errors import ConfigError
from common.system.openfile import others_may_write

_GENERATE = "Write one with `plotman config generate -o FILE`."
_log = logging.getLogger(__name__)
_warned: set[Problem] = set()  # a verb may load the file twice


@dataclass(frozen=True)
class Reading:
    """The result of reading a file.

    config: None if any problem is an error.
    readable: the parts without errors, only for further checks; None if there are none.
    raw: the bytes of the file.
    foreign: other users than this one and root may have written the file.
    """

    config: Config | None
    readable: Config | None
    problems: tuple[Problem, ...]
    document: document.Document
    raw: bytes = b""
    foreign: bool = False


def load(path: Path | None = None) -> Config:
    """Load the configuration in `path` (None: `default_path()`). Logs each warning once per process.

    Raises ConfigError with all errors, one per line.
    """
    reading = read(path or default_path())
    if reading.config is None:
        errors = [problem for problem in reading.problems if problem.level is Level.ERROR]
        raise ConfigError("\n".join(map(str, errors)))
    for problem in reading.problems:
        if problem not in _warned:
            _warned.add(problem)
            _log.warning("%s", problem, extra={"action": "config-warning"})
    return reading.config


def find_problems(path: Path) -> list[Problem]:
    """All problems of the file itself, by line. Never raises."""
    return list(read(path).problems)


def read(path: Path) -> Reading:
    """Read a file and find all its problems. Never raises."""
    try:
        with path.open("rb") as file:
            foreign = others_may_write(path, os.fstat(file.fileno()))
            raw = file.read(document.MOST_BYTES + 1)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        what = "does not exist" if missing else f"cannot be read ({error.strerror})"
        folder = isinstance(error, IsADirectoryError)
        cure = _GENERATE if missing else "Name a file in it." if folder else "Make it readable."
        problem = Problem(path, what, cure)
        return Reading(None, None, (problem,), document.Document(None))
    return replace(read_bytes(path, raw), foreign=foreign)


def read_bytes(path: Path, raw: bytes) -> Reading:
    """Read the content `raw` of the file at `path`, or a former content of it."""
    text = document.parse(raw)
    noted = _Notes(path, text)
    for flaw in text.flaws:
        noted.add(Finding(flaw.location, flaw.what, flaw.cure), flaw.line)
    config = readable = None
    if not isinstance(text.data, dict):
        if not text.flaws:
            noted.add(Finding((), "is empty" if text.data is None else "has no sections", _GENERATE))
    elif legacy.is_old(text.data):
        for change in legacy.changes(text.data):
            noted.add(change)
    else:
        config, readable = _validated(text.data, noted)
    problems = noted.sorted()
    wrong = any(problem.level is Level.ERROR for problem in problems)
    return Reading(None if wrong else config, readable, problems, text, raw)


class _Notes:
    """Collects problems, each with its line."""

    def __init__(self, path: Path, text: document.Document) -> None:
        self._path, self._text = path, text
        self._problems: dict[tuple[int | None, str, str], Problem] = {}

    @property
    def folder(self) -> Path:
        """The folder of the file."""
        return self._path.absolute().parent

    def add(self, found: Finding, line: int | None = None) -> None:
        line = line or self._text.line(found.location) or 1
        problem = Problem(self._path, found.what, found.cure, found.key, line, found.level)
        self._problems.setdefault((line, found.key, found.what), problem)

    def sorted(self) -> tuple[Problem, ...]:
        return tuple(sorted(self._problems.values(), key=lambda problem: problem.line or 0))


def _validated(data: dict[str, Any], noted: _Notes) -> tuple[Config | None, Config | None]:
    """The configuration (None if it has errors), and its parts without errors."""
    data = _version(data, noted)
    data, older = legacy.remains(data)
    data, retired = legacy.retire(data)
    for found in (*older, *retired, *rules.broken(data)):
        noted.add(found)
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        # Errors of the root repeat the rules above.
        for message in worded([detail for detail in error.errors(include_url=False) if detail["loc"]]):
            noted.add(message)
        return None, _without_errors(data)
    for location, folder in relative_folders(config):
        what = f"{folder!r} is taken as relative to the folder of this file"
        cure = "Write the full path" + ("; variables ($) are not replaced." if "$" in folder else ".")
        noted.add(Finding(location, what, cure, Level.WARNING))
    # Otherwise each process would take them as relative to its working folder.
    absolute = Config.model_validate(data, context={BELOW: str(noted.folder)})
    return absolute, absolute


def _version(data: dict[str, Any], noted: _Notes) -> dict[str, Any]:
    """Check the version. Returns the mapping with the version that is meant."""
    version = data.get("version")
    cure = f"Write version: [{VERSION}]."
    if version is None:
        what, cure = "is missing", f"Write version: [{VERSION}] at the top."
    elif not isinstance(version, list):
        what = "is not a list"
    elif version and isinstance(version[0], int) and version[0] > VERSION:
        what, cure = f"is newer than this plotman, which reads {VERSION}", "Install a newer plotman."
    elif not version or version[0] != VERSION or isinstance(version[0], bool):
        what = f"this plotman reads version {VERSION}"
    else:
        return data
    noted.add(Finding(("version",), what, cure))
    return {**data, "version": [VERSION]}


def relative_folders(config: Config) -> list[tuple[Location, str]]:
    """Folders without a leading slash."""
    named: list[tuple[Location, str | None]] = []
    if config.directories:
        named += config.directories.located()
    if config.harvester:
        for key in ("drives", "draining", "disabled"):
            folders = getattr(config.harvester, key)
            named += [(("harvester", key, i), folder) for i, folder in enumerate(folders)]
    named += [(("farm", "state"), config.farm.state)]
    named += [(("logging", key), getattr(config.logging, key)) for key in type(config.logging).model_fields]
    return [(location, folder) for location, folder in named if folder and not folder.startswith("/")]


_ROUNDS = 8  # to drop one key may make another one missing; sections are not nested deeper


def _without_errors(data: dict[str, Any]) -> Config | None:
    """The configuration without its wrong keys; None if nothing is left. Rules between keys are not
    checked."""
    rest = copy.deepcopy(data)
    for _ in range(_ROUNDS):
        try:
            return Config.model_validate(rest, context=LENIENT)
        except ValidationError as error:
            # From the back: to drop an item of a list moves those after it.
            for detail in reversed(error.errors(include_url=False)):
                location = tuple(part for part in detail["loc"] if part != "[key]")
                if location == ("plotting", "type"):
                    _leave_out(rest, ("plotting",))  # otherwise the default plotter would be checked
                elif detail["type"] != "missing":
                    _leave_out(rest, location)
                elif location[0] == "scheduling" and len(location) == 2:
                    # Its numbers name no folder and no program: any number will do.
                    field = Scheduling.model_fields[str(location[1])]
                    rest["scheduling"][location[1]] = (field.examples or [0])[0]
                else:
                    _leave_out(rest, location[:-1])
    return None


def _leave_out(data: Any, location: Location) -> None:
    """Remove the item at `location`, if it exists."""
    if not location:
        return
    *above, last = location
    holder = data
    for part in above:
        try:
            holder = holder[part]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(holder, dict):
        holder.pop(last, None)
    elif isinstance(holder, list) and isinstance(last, int) and last < len(holder):
        del holder[last]
