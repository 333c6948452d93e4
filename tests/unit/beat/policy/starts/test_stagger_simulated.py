"""The global stagger over many plots in simulated time: delays of every kind, and still no two starts
closer than it says."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from beat.policy.start_tokens import next_token
from beat.policy.starts.starts import plan_starts
from common.model.messages import PlotOrder
from common.model.pending import PendingOrder
from common.model.snapshot import Job
from plotter_worker.jobs.order_checks import OrderRefused, directories_for
from tests.unit.beat.builders import at, directory, job, plotter, tmp_dir

STAGGER_S = 6.0  # global_stagger_m: 0.1
PLOTS = 10


@pytest.mark.parametrize("seed", range(40))
def test_ten_plots_start_at_least_six_seconds_apart_whatever_is_late(seed: int) -> None:
    """Orders take up to 8 s to arrive, plots 1 to 60 s, beat looks up to 3 s late or twice at once, at a
    board that is up to 2 s old; its clock is off by up to 3 s."""
    chance = random.Random(seed)
    skew_s = chance.uniform(-3, 3)
    started: list[float] = []
    ends: list[float] = []
    jobs: dict[str, Job] = {}
    pending: list[PendingOrder] = []
    on_the_way: list[tuple[float, PendingOrder]] = []
    now, next_look, numbers = 0.0, 0.0, 0

    def snapshot(now: float):  # type: ignore[no-untyped-def]
        return plotter(
            *(tmp_dir(f"/tmp{n}", max_jobs=9, stagger_limit=9) for n in (1, 2)),
            jobs=tuple(jobs.values()),
            at=at(now),
            start_token=next_token("a:0", len(started)),
            global_stagger_s=STAGGER_S,
            global_max_jobs=20,
            last_start_at=at(started[-1]) if started else None,
            dst_dirs=(directory("/dst1"),),
        )

    last = snapshot(0)
    while len(started) < PLOTS:
        now = round(now + 0.1, 1)
        assert now < 1000, "it goes on"
        for index, end in enumerate(ends):
            if end <= now:
                jobs.pop(f"job{index}", None)
        arrived = [order for when, order in on_the_way if when <= now]
        on_the_way = [(when, order) for when, order in on_the_way if when > now]
        for order in arrived:
            try:
                directories_for(
                    PlotOrder(host="h", tmp=order.tmp, dst=order.dst, start_token=order.start_token),
                    snapshot(now),
                    at(now),
                )
            except OrderRefused:
                pending = [other for other in pending if other is not order]
                continue
            jobs[f"job{len(started)}"] = job(
                order.tmp, None, task_id=order.task_id, dst=order.dst, proven=True
            ).model_copy(update={"started_at": at(now)})
            started.append(now)
            ends.append(now + chance.uniform(1, 60))
        if chance.random() < 0.05 or not arrived:
            last = snapshot(now) if chance.random() < 0.7 else last
        if now >= next_look:
            next_look = now + chance.choice([0.0, 0.1, 3.0])
            beat_now = at(now + skew_s)
            starts, _ = plan_starts(last, pending, beat_now)
            for start in starts:
                numbers += 1
                order = PendingOrder(
                    task_id=f"t{numbers}", start_token=start.start_token, tmp=start.tmp, dst=start.dst,
                    sent_at=beat_now,
                    expires_at=at(now + skew_s + 30),
                )  # fmt: skip
                pending.append(order)
                on_the_way.append((now + chance.choice([0.0, 0.1, 8.0]), order))
    assert min(later - earlier for earlier, later in pairwise(started)) > STAGGER_S - 1e-6
