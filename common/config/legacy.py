"""Files of plotman 0.3 (no version, or [0]) and 0.4 (version [1])."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Location = tuple[str | int, ...]


@dataclass(frozen=True)
class Change:
    """A key to change: what is wrong with it, and what to write instead."""

    location: Location
    what: str
    cure: str


def is_old(data: dict[str, Any]) -> bool:
    """Whether the mapping is a file of plotman 0.3 or 0.4."""
    return False


def changes(data: dict[str, Any]) -> list[Change]:
    """All keys to change."""
    return []
