"""What is wrong with a plotman.yaml, as people read it: file, line, key, what, cure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Level(StrEnum):
    """An error keeps the file from being used, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


# What is wrong at a place of the file that is known: location, what, cure, level.
Found = tuple[tuple[str | int, ...], str, str, Level]


@dataclass(frozen=True)
class Problem:
    """One thing to mend in a plotman.yaml; `str()` is its line of `plotman config check`.

    line: counted from 1; None where nothing in the file stands for it.
    key: with dots, scheduling.tmpdir_max_jobs; empty for the file as a whole.
    what: what is wrong. cure: what to do, a sentence; empty where `what` says it.
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
        mild = "" if self.level is Level.ERROR else f"{self.level}: "
        return _in_a_line(f"{place}: {mild}{key}{self.what.rstrip('.')}. {self.cure}".rstrip())

    def as_json(self) -> dict[str, str | int | None]:
        """For `--json`: the same, field by field."""
        return {
            "file": str(self.file),
            "line": self.line,
            "level": self.level.value,
            "key": self.key,
            "what": self.what,
            "cure": self.cure,
        }


def _in_a_line(text: str) -> str:
    """Without what would break the line, steer the terminal, or cannot be printed: keys may hold anything."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )
