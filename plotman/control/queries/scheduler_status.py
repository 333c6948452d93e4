"""Whether a scheduler decides, and what waits by its decisions. Pure."""

from __future__ import annotations

from beat.policy.remedies import remedy
from common.model.snapshot import Wait, age_s
from common.model.units import human_duration
from plotman.control.farm import FarmState

NOBODY = "no scheduler decides"

# At a restart, or until another beat takes over, no beat decides for some seconds; and the time of the last
# decision is by another machine's clock.
_MISSED_AFTER_S = 60.0


def nobody_decides(farm: FarmState) -> bool:
    """Whether no beat has the lease and none has decided for a minute. False on a board without hosts."""
    if farm.leader is not None:
        return False
    if farm.waits is None:
        return bool(farm.plotters or farm.archivers or farm.harvesters)
    return age_s(farm.waits.at, farm.at) > _MISSED_AFTER_S


def waits(farm: FarmState) -> tuple[Wait, ...]:
    """Return the current waits; empty if no beat decides, since the last beat's waits are out of date."""
    return () if farm.waits is None or nobody_decides(farm) else farm.waits.waits


def note(farm: FarmState) -> str | None:
    """Describe that no beat decides; None if one does."""
    if not nobody_decides(farm):
        return None
    last = ""
    if farm.waits is not None:
        last = f"; the last decision was {human_duration(age_s(farm.waits.at, farm.at))} ago"
    return f"{NOBODY}{last}. Nothing new starts or moves. {remedy('no scheduler', '')}"
