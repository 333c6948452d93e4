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


class WaitReasons:
    """Wait reasons by host and subject."""

    def __init__(self, farm: FarmState) -> None:
        self._first: dict[tuple[str, str | None], Wait] = {}
        self._undecided = nobody_decides(farm)
        for wait in waits(farm):
            self._first.setdefault((wait.host, wait.subject), wait)

    def reason(self, host: str, *subjects: str | None) -> str:
        """The first reason among these subjects; empty if none waits. Without a scheduler all wait."""
        if self._undecided:
            return NOBODY
        wait = self.first(host, *subjects)
        return "" if wait is None else wait.reason

    def first(self, host: str, *subjects: str | None) -> Wait | None:
        """The first wait among these subjects; None if none waits or no scheduler decides."""
        return next((self._first[host, one] for one in subjects if (host, one) in self._first), None)


def note(farm: FarmState) -> str | None:
    """Describe that no beat decides; None if one does."""
    if not nobody_decides(farm):
        return None
    if farm.redis_trouble is not None:
        return f"{NOBODY}{last_decision(farm)}; the cause may be Redis. Nothing new starts or moves."
    return f"{NOBODY}{last_decision(farm)}. Nothing new starts or moves. {remedy('no scheduler', '')}"


def last_decision(farm: FarmState) -> str:
    """`; the last decision was 2 m ago`; empty if there was none."""
    if farm.waits is None:
        return ""
    return f"; the last decision was {human_duration(age_s(farm.waits.at, farm.at))} ago"
