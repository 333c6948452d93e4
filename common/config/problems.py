"""Problems of a plotman.yaml: file, line, key, what is wrong, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from common.model.text import one_line

Location = tuple[str | int, ...]


class Level(StrEnum):
    """An error keeps the file from being used, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


class Finding(NamedTuple):
    """A problem before its file and line are known. what, cure: as in Problem.

    location: of the key to change; its last part may be absent from the file.
    """

    location: Location
    what: str
    cure: str
    level: Level = Level.ERROR

    @property
    def key(self) -> str:
        """The location with dots: scheduling.tmp_overrides."""
        return ".".join(map(str, self.location))


@dataclass(frozen=True)
class Problem:
    """A problem of a plotman.yaml; `str()` is its line in `plotman config check`.

    what: what is wrong.
    cure: what to do, a sentence; empty if `what` is enough.
    key: with dots, scheduling.tmpdir_max_jobs; empty for the file as a whole.
    line: counted from 1; None if no line belongs to it.
    """

    file: Path
    what: str
    cure: str = ""
    key: str = ""
    line: int | None = None
    level: Level = Level.ERROR

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else str(self.file)
        key = f"{self.key}: " if self.key else ""
        level = "" if self.level is Level.ERROR else f"{self.level}: "
        return one_line(f"{place}: {level}{key}{self.what.rstrip('.')}. {self.cure}".rstrip())

    def as_json(self) -> dict[str, str | int | None]:
        """The problem for `--json`."""
        return {
            "file": str(self.file),
            "line": self.line,
            "level": self.level.value,
            "key": self.key,
            "what": self.what,
            "cure": self.cure,
        }
