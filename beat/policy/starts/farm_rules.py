"""Limits across all plotters, which may share a power line, a network and the drives behind it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from beat.policy.load import Load
from common.model.snapshot import Wait
from common.model.units import human_seconds

_NAMED = 3  # hosts in a reason


@dataclass(frozen=True, slots=True)
class FarmLimits:
    """Limits of the farm; None: no such limit. stagger_s: between two starts anywhere."""

    max_jobs: int | None = None
    stagger_s: float | None = None

    @classmethod
    def of(cls, max_jobs: int | None, stagger_m: float | None) -> FarmLimits:
        """Make the limits from `farm.max_jobs` and `farm.stagger_m` (minutes) of plotman.yaml."""
        return cls(max_jobs, None if stagger_m is None else stagger_m * 60)


class FarmLoad:
    """Jobs and orders of the whole farm. Grows with each start that a round decides on.

    silent: loads of silent hosts (see beat.policy.lost_hosts); their jobs count like any other.
    """

    def __init__(self, limits: FarmLimits, loads: Iterable[Load] = (), silent: Iterable[Load] = ()) -> None:
        self._limits = limits
        self._jobs = 0
        self._youngest_s: float | None = None
        self._silent: dict[str, int] = {}  # jobs by host
        for load in loads:
            self._count(load)
        for load in silent:
            self._count(load)
            if load.jobs:
                self._silent[load.snapshot.host] = load.jobs

    def add(self) -> None:
        """Count one more plot, ordered now."""
        self._jobs += 1
        self._count_start(0)

    def refusals(self, load: Load) -> list[Wait]:
        """Return the limits of the farm that stop a start on this host."""
        host, limits = load.snapshot.host, self._limits
        waits = []
        if limits.max_jobs is not None and self._jobs >= limits.max_jobs:
            waits.append(
                Wait(
                    host=host,
                    rule="farm max jobs",
                    reason=f"farm max jobs {self._jobs}/{limits.max_jobs}{self._of_silent()}",
                    numbers={
                        "jobs": self._jobs,
                        "limit": limits.max_jobs,
                        "silent": sum(self._silent.values()),
                    },
                )
            )
        young_s, stagger_s = self._youngest_s, limits.stagger_s
        if stagger_s is not None and young_s is not None and young_s < stagger_s:
            waits.append(
                Wait(
                    host=host,
                    rule="farm stagger",
                    reason=f"farm stagger {young_s:.0f}s/{human_seconds(stagger_s)}",
                    numbers={"age_s": young_s, "stagger_s": stagger_s},
                    until=load.later(stagger_s - young_s),
                )
            )
        return waits

    def _of_silent(self) -> str:
        """Describe how many of the jobs are on silent hosts; empty if none."""
        hosts = sorted(self._silent)
        if not hosts:
            return ""
        where = ", ".join(hosts[:_NAMED]) + (f" and {more} more" if (more := len(hosts) - _NAMED) > 0 else "")
        return (
            f" ({sum(self._silent.values())} of them on {where}, which {'are' if hosts[1:] else 'is'} silent)"
        )

    def _count(self, load: Load) -> None:
        self._jobs += load.jobs
        if load.youngest_s is not None:
            self._count_start(load.youngest_s)

    def _count_start(self, started_s: float) -> None:
        self._youngest_s = started_s if self._youngest_s is None else min(self._youngest_s, started_s)


NO_LIMITS = FarmLimits()
