"""Reading a plotman.yaml. Touches nothing but the file; looking at the machine is `environment`'s."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from common.config import document, fork_keys, legacy, rules
from common.config.base import BELOW, VERSION
from common.config.error_messages import worded
from common.config.model import Config
from common.config.partial_config import salvage
from common.config.paths import default_path
from common.config.problems import Level, Problem
from common.errors import ConfigError

Location = tuple[str | int, ...]
_GENERATE = "Write one with `plotman config generate -o FILE`."
_log = logging.getLogger(__name__)
_warned: set[Problem] = set()  # a verb loads it for the board, and again for Celery


@dataclass(frozen=True)
class Reading:
    """What came of reading a file.

    config: None if any problem is an error. readable: the parts without errors, for a look at what they
    name and never to run by; None if there are none. raw: the file's bytes.
    """

    config: Config | None
    readable: Config | None
    problems: tuple[Problem, ...]
    document: document.Document
    raw: bytes = b""


def load(path: Path | None = None) -> Config:
    """The configuration in `path` (None: `default_path()`). Warnings are logged, each once in a process.

    Raises ConfigError that lists all errors, each on a line of its own.
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
    """All that is wrong with the file itself, by line. Never raises."""
    return list(read(path).problems)


def read(path: Path) -> Reading:
    """Read a file and tell all that is wrong with it. Never raises."""
    try:
        with path.open("rb") as file:
            raw = file.read(document.MOST_BYTES + 1)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        what = "does not exist" if missing else f"cannot be read ({error.strerror})"
        folder = isinstance(error, IsADirectoryError)
        cure = _GENERATE if missing else "Name the file in it." if folder else "Make it readable."
        problem = Problem(path, what, cure)
        return Reading(None, None, (problem,), document.Document(None))
    return read_bytes(path, raw)


def read_bytes(path: Path, raw: bytes) -> Reading:
    """The same of what the file at `path` holds, or held once."""
    text = document.parse(raw)
    noted = _Notes(path, text)
    for flaw in text.flaws:
        noted.add(flaw.location, flaw.what, flaw.cure, line=flaw.line)
    config = readable = None
    if not isinstance(text.data, dict):
        if not text.flaws:
            noted.add((), "is empty" if text.data is None else "has no sections", _GENERATE)
    elif legacy.is_old(text.data):
        for change in legacy.changes(text.data):
            noted.add(change.location, change.what, change.cure)
    else:
        config, readable = _validated(text.data, noted)
    problems = noted.sorted()
    wrong = any(problem.level is Level.ERROR for problem in problems)
    return Reading(None if wrong else config, readable, problems, text, raw)


class _Notes:
    """Collects problems; each gets its line."""

    def __init__(self, path: Path, text: document.Document) -> None:
        self._path, self._text = path, text
        self._problems: dict[tuple[int | None, str, str], Problem] = {}

    @property
    def folder(self) -> Path:
        """The folder that the file is in."""
        return self._path.absolute().parent

    def add(
        self, location: Location, what: str, cure: str, level: Level = Level.ERROR, line: int | None = None
    ) -> None:
        line = line or self._text.line(location) or 1
        key = ".".join(map(str, location))
        problem = Problem(self._path, what, cure, key, line, level)
        self._problems.setdefault((line, key, what), problem)

    def sorted(self) -> tuple[Problem, ...]:
        return tuple(sorted(self._problems.values(), key=lambda problem: problem.line or 0))


def _validated(data: dict[str, Any], noted: _Notes) -> tuple[Config | None, Config | None]:
    """The configuration, None if it has errors, and what of it can be read."""
    data = _version(data, noted)
    data, older = legacy.remains(data)
    for change in older:
        noted.add(change.location, change.what, change.cure)
    data, retired = fork_keys.retire(data)
    for farewell in retired:
        noted.add(farewell.location, farewell.what, farewell.cure, Level.WARNING)
    for rule in rules.broken(data):
        noted.add(rule.location, rule.what, rule.cure, rule.level)
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        # The root's own errors are the rules above, said again.
        for said in worded([detail for detail in error.errors(include_url=False) if detail["loc"]]):
            noted.add(said.location, said.what, said.cure)
        return None, salvage(data)
    for location, folder in relative_folders(config):
        noted.add(
            location,
            f"{folder!r} is taken as below the folder of this file",
            "Write the full path" + ("; $ stands for nothing here." if "$" in folder else "."),
            Level.WARNING,
        )
    # Each process would else take them as below the folder that it was started in.
    absolute = Config.model_validate(data, context={BELOW: str(noted.folder)})
    return absolute, absolute


def _version(data: dict[str, Any], noted: _Notes) -> dict[str, Any]:
    """The mapping with the version it means; says what is wrong with the way it is written."""
    version = data.get("version")
    cure = f"Write version: [{VERSION}]."
    if version is None:
        noted.add(("version",), "is missing", f"Write version: [{VERSION}] at the top.")
    elif not isinstance(version, list):
        noted.add(("version",), "is not a list", cure)
    elif version and isinstance(version[0], int) and version[0] > VERSION:
        noted.add(
            ("version",), f"is newer than this plotman, which reads {VERSION}", "Install a newer plotman."
        )
    elif not version or version[0] != VERSION or isinstance(version[0], bool):
        noted.add(("version",), f"this plotman reads version {VERSION}", cure)
    else:
        return data
    return {**data, "version": [VERSION]}


def relative_folders(config: Config) -> list[tuple[Location, str]]:
    """Folders without a leading slash."""
    named: list[tuple[Location, str | None]] = []
    if config.directories:
        named += [(("directories", "tmp", i), folder) for i, folder in enumerate(config.directories.tmp)]
        named += [(("directories", "tmp2"), config.directories.tmp2)]
        named += [
            (("directories", "dst", i), folder) for i, folder in enumerate(config.directories.dst or ())
        ]
    if config.harvester:
        for key in ("drives", "draining", "disabled"):
            folders = getattr(config.harvester, key)
            named += [(("harvester", key, i), folder) for i, folder in enumerate(folders)]
    named += [(("farm", "state"), config.farm.state)]
    named += [(("logging", key), getattr(config.logging, key)) for key in type(config.logging).model_fields]
    return [(location, folder) for location, folder in named if folder and not folder.startswith("/")]
