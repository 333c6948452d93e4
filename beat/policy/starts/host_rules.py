"""Rules for a plotter host as a whole. Each returns why nothing may start now, or None."""

from __future__ import annotations

from datetime import datetime

from beat.policy.load import Load
from beat.policy.space_rules import drained, shortage, unusable
from common.model.holds import clock
from common.model.snapshot import Wait, age_s
from common.model.units import counted, human_seconds
from common.model.windows import opens_at

# Each further failure in a row makes the pause so many times as long.
PAUSE_GROWTH = 4
# Whoever set a failure limit of hundreds does not want to wait for years.
PAUSE_MAX_S = 86_400.0


def paused(load: Load) -> Wait | None:
    """Somebody, or the host itself, said that nothing shall start here."""
    snapshot = load.snapshot
    if snapshot.plotting:
        return None
    reason = snapshot.pause_reason or "plotting is paused"
    return Wait(host=snapshot.host, rule="paused", reason=reason, numbers={}, until=held_until(load))


def held_until(load: Load) -> datetime | None:
    """When a pause ends by itself. By our clock that may be over: the host lifts it by its own, and tells."""
    hold = load.snapshot.paused
    return hold.until if hold is not None and hold.until is not None and hold.until > load.now else None


def outside_windows(load: Load) -> Wait | None:
    """`scheduling.windows`: hours of the day for starting, by the host's clock on the wall."""
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


def enough(load: Load) -> Wait | None:
    """A drain after so many more plots: those that are ordered count as started."""
    snapshot, left = load.snapshot, load.snapshot.starts_left
    if left is None or load.ordered < left:
        return None
    return Wait(
        host=snapshot.host,
        rule="paused",
        reason=f"ordered {load.ordered} of the {counted(left, 'plot')} that may still start",
        numbers={"ordered": load.ordered, "left": left},
    )


def stopped_by_failures(load: Load) -> Wait | None:
    """Too many plotters in a row died at once: none is started until somebody has looked."""
    snapshot, failed = load.snapshot, load.snapshot.failures.consecutive
    if failed < max(1, snapshot.failure_limit):
        return None
    return Wait(
        host=snapshot.host,
        rule="failures",
        reason=f"{counted(failed, 'plotter')} in a row died at once{_last_words(load)}; none is started "
        f"until `plotman unpause plotting --host {snapshot.host}`",
        numbers={"failures": failed, "limit": snapshot.failure_limit},
    )


def pause_after_failure(load: Load) -> Wait | None:
    """After each failure in a row a longer pause; then one plot on trial, until it is seen to plot."""
    snapshot, failures = load.snapshot, load.snapshot.failures
    failed = failures.consecutive
    if not 1 <= failed < snapshot.failure_limit:
        return None
    numbers: dict[str, float] = {"failures": failed, "limit": snapshot.failure_limit}
    words = f"{failed} of {snapshot.failure_limit} plotters in a row died at once{_last_words(load)}"
    if failures.last_at is None:
        reason = f"{words}; when is not known: `plotman unpause plotting --host {snapshot.host}` goes on"
        return Wait(host=snapshot.host, rule="failures", reason=reason, numbers=numbers)
    pause_s = min(PAUSE_MAX_S, snapshot.failure_pause_s * PAUSE_GROWTH ** min(failed - 1, 20))
    since_s = age_s(failures.last_at, load.host_now)
    if since_s < pause_s:
        return Wait(
            host=snapshot.host,
            rule="failures",
            reason=f"{words}; next try after {int(since_s)}s/{human_seconds(pause_s)}",
            numbers={**numbers, "since_s": since_s, "pause_s": pause_s},
            until=load.later(pause_s - since_s),
        )
    if load.on_trial:
        reason = f"{words}; {load.on_trial} on trial, the next when it is seen to plot"
        return Wait(
            host=snapshot.host,
            rule="failures",
            reason=reason,
            numbers={**numbers, "on_trial": load.on_trial},
        )
    return None


def max_jobs(load: Load) -> Wait | None:
    """`global_max_jobs`: jobs on the host, ordered ones and those started by hand included."""
    snapshot = load.snapshot
    if load.jobs < snapshot.global_max_jobs:
        return None
    return Wait(
        host=snapshot.host,
        rule="max jobs",
        reason=f"max jobs {load.jobs}/{snapshot.global_max_jobs}",
        numbers={"jobs": load.jobs, "limit": snapshot.global_max_jobs},
    )


def stagger(load: Load) -> Wait | None:
    """`global_stagger_m`: time since the youngest job was started or ordered."""
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


def no_tmp(load: Load) -> Wait | None:
    """A host without tmp directories would wait for ever, and not say why."""
    if load.snapshot.tmp_dirs:
        return None
    reason = "no tmp directory is configured: name one under directories.tmp"
    return Wait(host=load.snapshot.host, rule="tmp", reason=reason, numbers={})


def tmp2(load: Load) -> Wait | None:
    """The one tmp2 that all plots of the host share: can it be written to, is there room.

    Where it shares a file system with tmp or dst, their rules count its bytes with their own.
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


def _last_words(load: Load) -> str:
    reason = load.snapshot.failures.last_reason
    return f" (last: {reason})" if reason else ""


# The rules that end the matter: beside them the others need not be asked.
CLOSED = (paused, stopped_by_failures, outside_windows)
# The rules that may all say no at once.
OPEN = (enough, pause_after_failure, no_tmp, max_jobs, stagger, tmp2)
