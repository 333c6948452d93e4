"""Which drive takes a plot: a rule of numbers alone, which also says why the others do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from common.snapshot import DirState
from common.units import human_bytes


@dataclass(frozen=True, slots=True)
class Candidate:
    """A drive as just seen. room_bytes: what it may still take after all that is on its way to it; None
    where that is not known. writers: plots on their way in."""

    path: str
    state: DirState
    room_bytes: int | None
    writers: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """No drive takes it. reasons: one for each drive, in the order of the configuration."""

    reasons: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return "; ".join(f"{path}: {reason}" for path, reason in self.reasons) or "no drives are configured"


def choose_drive(
    candidates: Sequence[Candidate], size_bytes: int, margin_bytes: int, writers_per_drive: int
) -> Candidate | Refusal:
    """The first drive that may be written to, has the room and is not busy."""
    reasons = []
    for drive in candidates:
        reason = why_not(drive, size_bytes, margin_bytes, writers_per_drive)
        if reason is None:
            return drive
        reasons.append((drive.path, reason))
    return Refusal(tuple(reasons))


def why_not(drive: Candidate, size_bytes: int, margin_bytes: int, writers_per_drive: int) -> str | None:
    """Why this drive does not take the plot, with both numbers; None when it does."""
    if drive.state is not DirState.OK:
        return drive.state.value
    if drive.room_bytes is None:
        return "free space unknown"
    if drive.room_bytes < size_bytes + margin_bytes:
        needs = f"{human_bytes(size_bytes)} and {human_bytes(margin_bytes)} margin"
        return f"room {human_bytes(drive.room_bytes)}, needs {needs}"
    if drive.writers >= writers_per_drive:
        return f"plots on their way {drive.writers}/{writers_per_drive}"
    return None
