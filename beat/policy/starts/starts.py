"""Which plots start now on a plotter host, and why no others do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from beat.policy.decision import Start
from beat.policy.load import Load
from beat.policy.starts import host_rules, tmp_rules
from beat.policy.starts.destination import destination
from beat.policy.starts.farm_rules import FarmLoad
from common.model.pending import PendingOrder
from common.model.snapshot import PlotterSnapshot, TmpDir, Wait

# Looks at a directory in one round for one host. A host of 12 tmp and 4 dst directories may start hundreds of
# plots within it; one that claims endless limits keeps the others waiting for less than a second.
_MOST_LOOKS = 20_000


def plan_starts(
    snapshot: PlotterSnapshot, pending: Sequence[PendingOrder], now: datetime, farm: FarmLoad | None = None
) -> tuple[tuple[Start, ...], tuple[Wait, ...]]:
    """Plan as many starts on one host as the rules allow at `now`.

    Args:
        snapshot: of a live host.
        pending: orders sent to it; void ones and those that the snapshot shows as jobs are ignored.
        farm: load of the whole farm, if limits hold across hosts; the starts are added to it.

    Returns:
        The starts, and what the host and its tmp directories wait for after them: first the waits of the host
        (subject None, several at a time), then one for each tmp directory that a rule of its own stops. A tmp
        directory without one waits for its host only. A wait's `until` is later than `now`. Deciding again
        with the starts as pending orders gives no starts and the same waits.
    """
    load = Load(snapshot, pending, now)
    last_refusal = tuple(filter(None, [host_rules.refused(load)]))
    for rule in host_rules.CLOSED:
        if (closed := rule(load)) is not None:
            return (), (closed,)
    starts: list[Start] = []
    while True:
        waits = [wait for rule in host_rules.OPEN if (wait := rule(load)) is not None]
        if farm is not None:
            waits += farm.refusals(load)
        options: list[TmpDir] = []
        refused: list[Wait] = []
        for tmp in snapshot.tmp_dirs:
            if (wait := tmp_rules.refusal(tmp, load)) is None:
                options.append(tmp)
            else:
                refused.append(wait)
        if waits or not options:
            return tuple(starts), (*last_refusal, *waits, *refused)
        # Of equally advanced ones, `max` takes the first in the configuration.
        tmp = max(options, key=lambda option: tmp_rules.advance(option, load))
        dst = destination(tmp, load)
        starts.append(_start(load, tmp, dst))
        if len(starts) * len(snapshot.tmp_dirs) * max(1, len(snapshot.dst_dirs)) > _MOST_LOOKS:
            return tuple(starts), ()
        load.add(tmp.path, dst)
        if farm is not None:
            farm.add(snapshot.host)


def _start(load: Load, tmp: TmpDir, dst: str) -> Start:
    tmp2 = load.snapshot.tmp2
    return Start(
        host=load.snapshot.host,
        tmp=tmp.path,
        tmp2=None if tmp2 is None else tmp2.path,
        dst=dst,
        start_token=next(load.start_tokens),
    )
