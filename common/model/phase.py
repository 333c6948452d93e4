"""Phase of a plot, as plotman has always written it: `major:minor`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic_core import core_schema

_TEXT = re.compile(r"(\d+):(\d+)\Z")


@dataclass(frozen=True, order=True, slots=True)
class Phase:
    """Phases 1-4 and the steps within, ordered. 0:0 is a plotter that has not begun phase 1, 5:0 one
    whose plot is complete and being copied to its dst.

    A phase that is not known is None, never 0:0: nothing may be decided from a guess.
    """

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}:{self.minor}"

    @classmethod
    def parse(cls, text: str) -> Phase:
        """`"2:1"` -> Phase(2, 1). Raises ValueError for anything else."""
        match = _TEXT.match(text)
        if not match:
            raise ValueError(f"not a phase: {text!r} (write it as 2:1)")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        """On the notice board a phase is the text people read. There are few of them, and a beat of a large
        farm reads each ten thousands of times."""
        parse = lru_cache(maxsize=256)(cls.parse)
        text = core_schema.no_info_after_validator_function(parse, core_schema.str_schema())
        return core_schema.json_or_python_schema(
            json_schema=text,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), text]),
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )


# Phases as pairs of integers, which compare faster: a thousand hosts have twenty thousand of them.
PhasePair = tuple[int, int]

# Below every phase: a job of unknown phase has passed no milestone, and is the least advanced.
UNKNOWN: PhasePair = (-1, -1)
NOT_BEGUN: PhasePair = (0, 0)


def pair(phase: Phase | None) -> PhasePair:
    """`phase` as a pair; UNKNOWN for None."""
    return UNKNOWN if phase is None else (phase.major, phase.minor)
