"""Choice of the drive for a plot: a pure rule, which also gives the reason against each drive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from common.config.sections.farm import Placement
from common.model.snapshot import DirState, DriveUse
from common.model.units import human_bytes


@dataclass(frozen=True, slots=True)
class Candidate:
    """A drive as just surveyed.

    room_bytes: free after all plots on their way to it; None: unknown.
    writers: plots on their way in.
    last_used_s: Unix time of the last reservation or admission there; 0: never.
    plots: number on the drive.
    failing: it failed for several plots recently.
    """

    path: str
    state: DirState
    room_bytes: int | None
    writers: int
    use: DriveUse = DriveUse.ACTIVE
    last_used_s: float = 0
    plots: int = 0
    failing: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """No drive takes the plot. reasons: (drive, reason), in the order of the configuration."""

    reasons: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return "; ".join(f"{path}: {reason}" for path, reason in self.reasons) or "no drives are configured"


def choose_drive(
    candidates: Sequence[Candidate],
    size_bytes: int,
    margin_bytes: int,
    writers_per_drive: int,
    placement: Placement = Placement.FILL,
) -> Candidate | Refusal:
    """Choose among the drives that are writable, have the space and are not busy. A failing drive comes last;
    then the fewest plots on their way in decide, then `placement`, then the order of the configuration.

    Args:
        candidates: In the order of the configuration.
        writers_per_drive: Most transfers to one drive at a time.
    """
    reasons = [(drive, why_not(drive, size_bytes, margin_bytes, writers_per_drive)) for drive in candidates]
    able = [drive for drive, reason in reasons if reason is None]
    if able:
        return min(able, key=lambda drive: (drive.failing, drive.writers, *_rank(drive, placement)))
    return Refusal(tuple((drive.path, reason) for drive, reason in reasons if reason is not None))


def _rank(drive: Candidate, placement: Placement) -> tuple[float, ...]:
    """Sort key of a drive; the least is chosen."""
    match placement:
        case Placement.FILL:
            return ()
        case Placement.MOST_FREE:
            return (-(drive.room_bytes or 0),)
        case Placement.ROUND_ROBIN:
            return drive.last_used_s, drive.plots


def why_not(drive: Candidate, size_bytes: int, margin_bytes: int, writers_per_drive: int) -> str | None:
    """Why this drive does not take the plot, with both numbers; None if it does. Arguments as in
    choose_drive."""
    if drive.use is not DriveUse.ACTIVE:
        return drive.use.value
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
