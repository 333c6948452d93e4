"""Rules for one tmp directory. Each returns why it takes no plot now, or None."""

from __future__ import annotations

from beat.policy.load import UNKNOWN, Load, Pair, pair
from beat.policy.shortage import shortage, unusable
from common.snapshot import TmpDir, Wait

# More advanced than any phase: a directory without jobs comes first of all.
IDLE: Pair = (1_000_000, 0)


def refusal(tmp: TmpDir, load: Load) -> Wait | None:
    """The first rule that says no."""
    return (
        unusable(load, "tmp", tmp, tmp.path)
        or max_jobs(tmp, load)
        or phase(tmp, load)
        or shortage(load, "tmp", tmp, load.room.needs_bytes(tmp, tmp.path, None), tmp.path)
    )


def max_jobs(tmp: TmpDir, load: Load) -> Wait | None:
    """`tmpdir_max_jobs`: jobs that use the directory, whatever their phase."""
    jobs = len(load.phases_in(tmp))
    if jobs < tmp.max_jobs:
        return None
    return Wait(
        host=load.snapshot.host,
        rule="tmp max jobs",
        reason=f"tmp max jobs {jobs}/{tmp.max_jobs}",
        subject=tmp.path,
        numbers={"jobs": jobs, "limit": tmp.max_jobs},
    )


def phase(tmp: TmpDir, load: Load) -> Wait | None:
    """`tmpdir_stagger_phase_*`: jobs that are not known to have reached the milestone."""
    milestone = pair(tmp.stagger_phase)
    phases = load.phases_in(tmp)
    before = 0
    for reached in phases:
        before += reached < milestone
    if before < tmp.stagger_limit:
        return None
    reason = f"tmp phase: {before} of {len(phases)} jobs before {tmp.stagger_phase}"
    numbers: dict[str, float] = {"before": before, "limit": tmp.stagger_limit, "jobs": len(phases)}
    if unknown := phases.count(UNKNOWN):
        reason += f" ({unknown} of unknown phase)"
        numbers["unknown"] = unknown
    if tmp.stagger_limit != 1:
        reason += f", limit {tmp.stagger_limit}"
    return Wait(host=load.snapshot.host, rule="tmp phase", reason=reason, subject=tmp.path, numbers=numbers)


def advance(tmp: TmpDir, load: Load) -> Pair:
    """How far the least advanced job of the directory is; the further, the sooner it gets the next."""
    return min(load.phases_in(tmp), default=IDLE)
