"""Phase of a plot, written `major:minor` as in plotman 0.5."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic_core import core_schema

_TEXT = re.compile(r"(\d{1,9}):(\d{1,9})\Z")


@dataclass(frozen=True, order=True, slots=True)
class Phase:
    """A phase (major, 1 to 4) and the step in it (minor), ordered.

    0:0: phase 1 has not begun. 5:0: the plot is complete and is copied to its dst.

    An unknown phase is None, never 0:0: nothing may be decided from a guess.
    """

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}:{self.minor}"

    @classmethod
    def parse(cls, text: str) -> Phase:
        """Parse `"2:1"`. Raises ValueError."""
        match = _TEXT.match(text)
        if not match:
            raise ValueError(f"not a phase: {text!r} (write it as 2:1)")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        """A phase is text on the notice board. Cached: a large farm has tens of thousands of them, but few
        different ones."""
        parse = lru_cache(maxsize=256)(cls.parse)
        text = core_schema.no_info_after_validator_function(parse, core_schema.str_schema())
        return core_schema.json_or_python_schema(
            json_schema=text,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), text]),
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )


# Phases as pairs of integers, which compare faster: a thousand hosts have twenty thousand of them.
PhasePair = tuple[int, int]

# Below every phase: a job of unknown phase counts as the least advanced.
UNKNOWN: PhasePair = (-1, -1)
NOT_BEGUN: PhasePair = (0, 0)


def pair(phase: Phase | None) -> PhasePair:
    """`phase` as a pair; UNKNOWN for None."""
    return UNKNOWN if phase is None else (phase.major, phase.minor)
