"""Whether a scheduler decides, and what waits by its word. Pure."""

from __future__ import annotations

from beat.policy.remedies import cure
from common.model.snapshot import Wait, age_s
from common.model.units import human_duration
from plotman.control.farm import FarmState

NOBODY = "no scheduler decides"

# At a restart, or until another beat takes over, nobody decides for some seconds; and the time of the last
# word is by the clock of another machine.
_MISSED_AFTER_S = 60.0


def nobody_decides(farm: FarmState) -> bool:
    """Whether a decision is missed: nobody holds the lease, and for a minute nobody has decided. False on a
    board without hosts, where there is nothing to decide."""
    if farm.leader is not None:
        return False
    if farm.waits is None:
        return bool(farm.plotters or farm.archivers or farm.harvesters)
    return age_s(farm.waits.at, farm.at) > _MISSED_AFTER_S


def waits(farm: FarmState) -> tuple[Wait, ...]:
    """What waits now. None does where nobody decides: the last beat's reasons are of its time."""
    return () if farm.waits is None or nobody_decides(farm) else farm.waits.waits


def note(farm: FarmState) -> str | None:
    """What people have to know where nobody decides; None where somebody does."""
    if not nobody_decides(farm):
        return None
    last = ""
    if farm.waits is not None:
        last = f"; the last one did {human_duration(age_s(farm.waits.at, farm.at))} ago"
    return f"{NOBODY}{last}. Nothing new starts or moves. {cure('no scheduler', '')}"
