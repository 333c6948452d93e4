"""Limits across all plotters, which may share a power line, a network and the drives behind it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from beat.policy.load import Load
from beat.policy.starts.host_rules import CLOSED
from common.model.snapshot import Wait
from common.model.units import counted, human_seconds

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

    A host's own snapshot says how many jobs it has. So that no host takes the starts of all others by that,
    one start is kept for each other host that may start plots and has none.

    silent: loads of silent hosts (see beat.policy.lost_hosts); their jobs count like any other.
    ordered_s: seconds since beat ordered a start last; starts that hosts report delay others for at most
        twice the stagger after it. None: not known, and they delay others without end.
    """

    def __init__(
        self,
        limits: FarmLimits,
        loads: Iterable[Load] = (),
        silent: Iterable[Load] = (),
        ordered_s: float | None = None,
    ) -> None:
        self._limits = limits
        self._ordered_s = ordered_s
        self._jobs: dict[str, int] = {}  # by host
        self._busy: set[str] = set()  # hosts with jobs
        self._without: set[str] = set()  # hosts that may start plots and have none
        self._youngest_s: float | None = None
        self._silent: dict[str, int] = {}  # jobs by host
        for load in loads:
            self._count(load)
            if not load.jobs and not any(rule(load) for rule in CLOSED) and load.snapshot.tmp_dirs:
                self._without.add(load.snapshot.host)
        for load in silent:
            self._count(load)
            if load.jobs:
                self._silent[load.snapshot.host] = load.jobs

    def add(self, host: str) -> None:
        """Count one more plot, ordered now."""
        self._jobs[host] = self._jobs.get(host, 0) + 1
        self._busy.add(host)
        self._without.discard(host)
        self._ordered_s = 0
        self._count_start(0)

    def refusals(self, load: Load) -> list[Wait]:
        """Return the limits of the farm that stop a start on this host."""
        host, limits = load.snapshot.host, self._limits
        waits = []
        if limits.max_jobs is not None and (refusal := self._too_many(host, limits.max_jobs)):
            waits.append(refusal)
        young_s, stagger_s = self._youngest_s, limits.stagger_s
        if stagger_s is not None and self._ordered_s is not None and self._ordered_s >= 2 * stagger_s:
            young_s = None
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

    def _too_many(self, host: str, limit: int) -> Wait | None:
        kept_for = sorted(self._without - {host})
        # Each other host with or without jobs may have one, whatever a host says that it has itself.
        most = max(1, limit - len(self._busy | self._without) + 1)
        jobs = sum([min(jobs, most) for jobs in self._jobs.values()])
        if jobs + len(kept_for) < limit:
            return None
        reported = sum(self._jobs.values())
        reason = f"farm max jobs {reported}/{limit}{self._of_silent()}"
        if kept_for:
            reason += f"; kept for {_named(kept_for)}: {counted(len(kept_for), 'start')}"
        if (here := self._jobs.get(host, 0)) > most:
            reason += f"; of its {counted(here, 'job')}, {most} count"
        numbers = {"jobs": reported, "limit": limit, "silent": sum(self._silent.values())}
        return Wait(host=host, rule="farm max jobs", reason=reason, numbers=numbers)

    def _of_silent(self) -> str:
        """Describe how many of the jobs are on silent hosts; empty if none."""
        hosts = sorted(self._silent)
        if not hosts:
            return ""
        silent = sum(self._silent.values())
        return f" ({silent} of them on {_named(hosts)}, which {'are' if hosts[1:] else 'is'} silent)"

    def _count(self, load: Load) -> None:
        self._jobs[load.snapshot.host] = load.jobs
        if load.jobs:
            self._busy.add(load.snapshot.host)
        if load.youngest_s is not None:
            self._count_start(load.youngest_s)

    def _count_start(self, started_s: float) -> None:
        self._youngest_s = started_s if self._youngest_s is None else min(self._youngest_s, started_s)


def _named(hosts: list[str]) -> str:
    return ", ".join(hosts[:_NAMED]) + (f" and {more} more" if (more := len(hosts) - _NAMED) > 0 else "")


NO_LIMITS = FarmLimits()
