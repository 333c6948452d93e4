"""Rules for a plotter host as a whole. Each returns why no plot may start now, or None."""

from __future__ import annotations

from datetime import datetime

from beat.policy.load import Load
from beat.policy.space_rules import drained, shortage, unusable
from common.model.gpu_slots import free_gpus
from common.model.holds import clock
from common.model.snapshot import Wait, age_s
from common.model.units import counted, human_seconds
from common.model.windows import opens_at

# Each further failure in a row multiplies the pause by this.
PAUSE_GROWTH = 4
# Without a maximum, a failure limit of hundreds would mean pauses of years.
PAUSE_MAX_S = 86_400.0


def paused(load: Load) -> Wait | None:
    """An operator, or the host itself, paused plotting."""
    snapshot = load.snapshot
    if snapshot.plotting:
        return None
    if snapshot.paused is None:  # no operator did: `plotman archive` runs there alone
        reason = snapshot.pause_reason or "plotting is paused"
        return Wait(host=snapshot.host, rule="starts none", reason=reason, numbers={})
    text, until = snapshot.pause_text, held_until(load)
    return Wait(host=snapshot.host, rule="paused", reason=text, numbers={}, until=until)


def held_until(load: Load) -> datetime | None:
    """Return when a pause ends by itself; None if that is past here: the host decides by its own clock."""
    hold = load.snapshot.paused
    return hold.until if hold is not None and hold.until is not None and hold.until > load.now else None


def outside_windows(load: Load) -> Wait | None:
    """`scheduling.windows`: hours of the day for starts, in the host's local time."""
    snapshot = load.snapshot
    if not snapshot.windows:
        return None
    opens = opens_at(snapshot.windows, load.now, snapshot.utc_offset_s)
    if opens is None:
        return None
    return Wait(
        host=snapshot.host,
        rule="windows",
        reason=f"outside scheduling.windows until {clock(opens, load.now, snapshot.utc_offset_s)}",
        numbers={"rest_s": (opens - load.now).total_seconds()},
        until=opens,
    )


def pause_after(load: Load) -> Wait | None:
    """`pause plotting --after N`: ordered plots count as started."""
    snapshot, left = load.snapshot, load.snapshot.starts_left
    if left is None or load.ordered < left:
        return None
    return Wait(
        host=snapshot.host,
        rule="paused",
        reason=f"plotting pauses after {counted(left, 'more plot')}; ordered: {load.ordered}",
        numbers={"ordered": load.ordered, "left": left},
    )


def stopped_by_failures(load: Load) -> Wait | None:
    """Too many plotters in a row died at once: plotting stops until an operator unpauses it."""
    snapshot, failed = load.snapshot, load.snapshot.failures.consecutive
    if failed < max(1, snapshot.failure_limit):
        return None
    return Wait(
        host=snapshot.host,
        rule="failures",
        reason=f"{counted(failed, 'plotter')} in a row died at once{_last_reason(load)}; plotting is stopped "
        f"until `plotman unpause plotting --host {snapshot.host}`",
        numbers={"failures": failed, "limit": snapshot.failure_limit},
    )


def pause_after_failure(load: Load) -> Wait | None:
    """After each failure in a row, the pause is longer; then one plot is tried until it has begun to plot."""
    snapshot, failures = load.snapshot, load.snapshot.failures
    failed = failures.consecutive
    if not 1 <= failed < snapshot.failure_limit:
        return None
    numbers: dict[str, float] = {"failures": failed, "limit": snapshot.failure_limit}
    text = f"{failed} of {snapshot.failure_limit} plotters in a row died at once{_last_reason(load)}"
    if failures.last_at is None:
        reason = f"{text}; when is not known: `plotman unpause plotting --host {snapshot.host}` continues"
        return Wait(host=snapshot.host, rule="failures", reason=reason, numbers=numbers)
    pause_s = min(PAUSE_MAX_S, snapshot.failure_pause_s * PAUSE_GROWTH ** min(failed - 1, 20))
    since_s = age_s(failures.last_at, load.host_now)
    if since_s < pause_s:
        return Wait(
            host=snapshot.host,
            rule="failures",
            reason=f"{text}; the next try follows after a pause",  # `until` says when
            numbers={**numbers, "since_s": since_s, "pause_s": pause_s},
            until=load.later(pause_s - since_s),
        )
    if load.on_trial:
        reason = f"{text}; {load.on_trial} on trial, the next starts when it has begun to plot"
        return Wait(
            host=snapshot.host, rule="failures", reason=reason, numbers={**numbers, "on_trial": load.on_trial}
        )
    return None


def max_jobs(load: Load) -> Wait | None:
    """`global_max_jobs`: limits jobs on the host, including ordered ones and those started by hand."""
    snapshot = load.snapshot
    if load.jobs < snapshot.global_max_jobs:
        return None
    return Wait(
        host=snapshot.host,
        rule="max jobs",
        reason=f"max jobs {load.jobs}/{snapshot.global_max_jobs}",
        numbers={"jobs": load.jobs, "limit": snapshot.global_max_jobs},
    )


def gpus(load: Load) -> Wait | None:
    """`plotting.gpus`: a job needs a GPU that has fewer than `jobs_per_gpu`."""
    snapshot = load.snapshot
    if not snapshot.gpus or load.ordered < (free := len(free_gpus(snapshot))):
        return None
    slots = len(snapshot.gpus) * snapshot.jobs_per_gpu
    return Wait(
        host=snapshot.host,
        rule="gpus",
        reason=f"GPU jobs {slots - free + load.ordered}/{slots}",
        numbers={"jobs": slots - free + load.ordered, "limit": slots},
    )


def stagger(load: Load) -> Wait | None:
    """`global_stagger_m`: the least time since the youngest job was started or ordered."""
    snapshot, age = load.snapshot, load.youngest_s
    if age is None or age >= snapshot.global_stagger_s:
        return None
    return Wait(
        host=snapshot.host,
        rule="stagger",
        reason=f"stagger {int(age)}s/{human_seconds(snapshot.global_stagger_s)}",
        numbers={"age_s": age, "stagger_s": snapshot.global_stagger_s},
        until=load.later(snapshot.global_stagger_s - age),
    )


def refused(load: Load) -> Wait | None:
    """The host refused beat's last order. This stops nothing: beat orders again when the order is void."""
    snapshot = load.snapshot
    if snapshot.refused is None:
        return None
    reason = f"its last order was refused: {snapshot.refused.reason.rstrip('.')}"
    return Wait(host=snapshot.host, rule="refused order", reason=reason, numbers={})


def no_tmp(load: Load) -> Wait | None:
    """Without this rule, a host without tmp directories would wait and give no reason."""
    if load.snapshot.tmp_dirs:
        return None
    reason = "no tmp directory is configured: add one to directories.tmp"
    return Wait(host=load.snapshot.host, rule="tmp", reason=reason, numbers={})


def tmp2(load: Load) -> Wait | None:
    """The tmp2 directory, which all plots of the host share, must be usable and have space.

    If it is on a file system with tmp or dst, their rules add its bytes to their own.
    """
    snapshot = load.snapshot
    directory = snapshot.tmp2
    if directory is None:
        return None
    return (
        drained(load, "tmp2", directory, None)
        or unusable(load, "tmp2", directory, None)
        or shortage(load, "tmp2", directory, snapshot.recipe.tmp2_bytes, None)
    )


def _last_reason(load: Load) -> str:
    reason = load.snapshot.failures.last_reason
    return f" (last: {reason})" if reason else ""


# If one of these applies, the others are not evaluated.
CLOSED = (paused, stopped_by_failures, outside_windows)
# All of these are evaluated; several may apply.
OPEN = (pause_after, pause_after_failure, no_tmp, max_jobs, gpus, stagger, tmp2)
