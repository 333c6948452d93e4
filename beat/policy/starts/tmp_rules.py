"""Rules for one tmp directory. Each returns why no plot may start in it now, or None."""

from __future__ import annotations

from beat.policy.load import Load
from beat.policy.space_rules import drained, shortage, unusable
from beat.policy.starts.destination import no_destination
from common.model.phase import UNKNOWN, PhasePair, pair
from common.model.snapshot import TmpDir, Wait
from common.model.units import counted

# More advanced than any phase: a directory without jobs comes first of all.
IDLE: PhasePair = (1_000_000, 0)


def refusal(tmp: TmpDir, load: Load) -> Wait | None:
    """Return the wait of the first rule that stops a start."""
    phases = load.usage.at(tmp.path).using
    return (
        drained(load, "tmp", tmp, tmp.path)
        or unusable(load, "tmp", tmp, tmp.path)
        or max_jobs(tmp, load, phases)
        or phase(tmp, load, phases)
        or shortage(load, "tmp", tmp, load.usage.needs_bytes(tmp.path, tmp.path, None), tmp.path)
        or no_destination(tmp, load)
    )


def max_jobs(tmp: TmpDir, load: Load, phases: list[PhasePair]) -> Wait | None:
    """`tmpdir_max_jobs`: limits the jobs that use the directory, in any phase."""
    if len(phases) < tmp.max_jobs:
        return None
    return Wait(
        host=load.snapshot.host,
        rule="tmp max jobs",
        reason=f"tmp max jobs {len(phases)}/{tmp.max_jobs}",
        subject=tmp.path,
        numbers={"jobs": len(phases), "limit": tmp.max_jobs},
    )


def phase(tmp: TmpDir, load: Load, phases: list[PhasePair]) -> Wait | None:
    """`tmpdir_stagger_phase_*`: limits the jobs that are not known to have reached the milestone."""
    if len(phases) < tmp.stagger_limit:
        return None
    milestone = pair(tmp.stagger_phase)
    before = sum([reached < milestone for reached in phases])
    if before < tmp.stagger_limit:
        return None
    reason = f"tmp phase: {before} of {counted(len(phases), 'job')} before {tmp.stagger_phase}"
    numbers: dict[str, float] = {"before": before, "limit": tmp.stagger_limit, "jobs": len(phases)}
    if unknown := phases.count(UNKNOWN):
        reason += f" ({unknown} of unknown phase)"
        numbers["unknown"] = unknown
    if tmp.stagger_limit != 1:
        reason += f", limit {tmp.stagger_limit}"
    return Wait(host=load.snapshot.host, rule="tmp phase", reason=reason, subject=tmp.path, numbers=numbers)


def advance(tmp: TmpDir, load: Load) -> PhasePair:
    """Return the phase of the directory's least advanced job; the directory with the highest comes first."""
    return min(load.usage.at(tmp.path).using, default=IDLE)
