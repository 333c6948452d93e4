"""What holds in every situation, whatever the limits, jobs and orders are."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from beat.policy.decision import Start
from beat.policy.starts.starts import plan_starts
from common.model.pending import PendingOrder
from common.model.phase import Phase
from common.model.snapshot import Directory, Job, PlotterSnapshot, Recipe
from tests.unit.beat.builders import GB, T, as_orders, decided, directory, order, plotter, tmp_dir
from tests.unit.beat.builders import job as build_job

TMP = ["/tmp1", "/tmp2", "/tmp3", "/tmp4"]
DST = ["/dst1", "/dst2"]
phases = st.one_of(st.none(), st.builds(Phase, st.integers(0, 4), st.integers(0, 7)))
devices = st.sampled_from(["nvme0", "nvme1", "hdd"])
to_come = st.integers(0, 200).map(lambda gb: gb * GB)

jobs = st.builds(
    lambda n, tmp, dst, phase, age, tmp_bytes, dst_bytes, proven: build_job(
        tmp,
        None if phase is None else str(phase),
        age,
        task_id=f"job {n}",
        dst=dst,
        tmp_to_come_bytes=tmp_bytes,
        dst_to_come_bytes=dst_bytes,
        proven=proven,
    ),
    st.integers(0, 99),
    st.sampled_from([*TMP, "/other", "", None]),
    st.sampled_from([*DST, "/tmp1", "/other", None]),
    phases,
    st.integers(-60, 4000),  # what is further ahead is of a clock that was set back, and counts for nothing
    to_come,
    to_come,
    st.booleans(),
)
pending = st.lists(
    st.builds(
        order,
        st.sampled_from(TMP),
        st.sampled_from(["a:6", "a:7", "a:8", "a:9", "b:7"]),
        st.integers(-60, 5),
        dst=st.sampled_from([*DST, "/tmp1", None]),
    ),
    max_size=3,
    unique_by=lambda each: each.task_id,
)


@st.composite
def hosts(draw: st.DrawFn) -> PlotterSnapshot:
    tmp_dirs = [
        tmp_dir(
            path,
            draw(st.integers(0, 2000)),
            device=draw(devices),
            max_jobs=draw(st.integers(1, 4)),
            stagger_limit=draw(st.integers(1, 3)),
            stagger_phase=Phase(draw(st.integers(1, 4)), 0),
        )
        for path in TMP[: draw(st.integers(1, 4))]
    ]
    dst_paths = draw(st.lists(st.sampled_from([*DST, "/tmp1"]), max_size=3, unique=True))
    tmp2 = draw(st.one_of(st.none(), st.just("/ssd")))
    recipe = Recipe(
        plotter="chia",
        k=32,
        tmp_bytes=draw(st.integers(0, 300)) * GB,
        tmp2_bytes=0 if tmp2 is None else 110 * GB,
        dst_bytes=draw(st.integers(1, 120)) * GB,
    )
    return plotter(
        *tmp_dirs,
        jobs=tuple(draw(st.lists(jobs, max_size=5))),
        dst_dirs=tuple(
            directory(path, draw(st.integers(0, 2000)), device=draw(devices)) for path in dst_paths
        ),
        tmp2=None if tmp2 is None else directory(tmp2, draw(st.integers(0, 2000)), device=draw(devices)),
        recipe=recipe,
        global_max_jobs=draw(st.integers(0, 8)),
        global_stagger_s=draw(st.sampled_from([0, 0, 0.5, 1800])),
        starts_left=draw(st.one_of(st.none(), st.integers(0, 4))),
    )


def valid(snapshot: PlotterSnapshot, orders: list[PendingOrder]) -> list[PendingOrder]:
    seen = {job.task_id for job in snapshot.jobs}
    return [
        each
        for each in orders
        if each.task_id not in seen
        and each.expires_at > T
        and each.start_token.startswith("a:")
        and int(each.start_token[2:]) >= 7
    ]


@settings(max_examples=300, deadline=None)
@given(hosts(), pending)
def test_no_limit_on_jobs_is_ever_passed_by_a_start(
    snapshot: PlotterSnapshot, orders: list[PendingOrder]
) -> None:
    starts, _ = plan_starts(snapshot, orders, T)
    ordered = valid(snapshot, orders)
    if starts:
        assert len(snapshot.jobs) + len(ordered) + len(starts) <= snapshot.global_max_jobs
        assert snapshot.starts_left is None or len(ordered) + len(starts) <= snapshot.starts_left
    new = Counter(start.tmp for start in starts)
    lost = [job for job in snapshot.jobs if job.tmp is None]
    for tmp in snapshot.tmp_dirs:
        if not new[tmp.path]:
            continue
        here = [job for job in snapshot.jobs if job.tmp == tmp.path] + lost
        young = new[tmp.path] + sum(each.tmp == tmp.path for each in ordered)
        before = [job for job in here if job.phase is None or job.phase < tmp.stagger_phase]
        assert len(here) + young <= tmp.max_jobs
        assert len(before) + young <= tmp.stagger_limit


@settings(max_examples=200, deadline=None)
@given(hosts(), pending)
def test_no_start_is_closer_to_another_than_the_stagger(
    snapshot: PlotterSnapshot, orders: list[PendingOrder]
) -> None:
    starts, _ = plan_starts(snapshot, orders, T)
    if snapshot.global_stagger_s and starts:
        ages = [T - job.started_at for job in snapshot.jobs]
        ages += [T - each.sent_at for each in valid(snapshot, orders)]
        assert len(starts) == 1
        assert all(age >= timedelta(seconds=snapshot.global_stagger_s) for age in ages)


def taken(
    snapshot: PlotterSnapshot, plots: list[tuple[str, str]], running: tuple[Job, ...]
) -> dict[str, int]:
    """Bytes per device that plots (tmp, dst) and running jobs will still take, counted the plain way."""
    where: dict[str, Directory] = {each.path: each for each in reversed(snapshot.dst_dirs)}
    if snapshot.tmp2 is not None:
        where[snapshot.tmp2.path] = snapshot.tmp2
    where |= {each.path: each for each in snapshot.tmp_dirs}
    recipe, sums = snapshot.recipe, defaultdict[str, int](int)
    anywhere = 0
    for tmp, dst in plots:
        home = snapshot.tmp2.path if snapshot.tmp2 else tmp
        sums[where[tmp].device or ""] += recipe.tmp_bytes
        if snapshot.tmp2:
            sums[where[home].device or ""] += recipe.tmp2_bytes
        peak = recipe.tmp2_bytes if snapshot.tmp2 else recipe.tmp_bytes
        sums[where[dst].device or ""] += max(0, recipe.dst_bytes - peak) if dst == home else recipe.dst_bytes
    for job in running:
        for path, size_bytes in ((job.tmp, job.tmp_to_come_bytes), (job.dst, job.dst_to_come_bytes)):
            if path is None:
                anywhere += size_bytes
            elif path in where:
                sums[where[path].device or ""] += size_bytes
    return {device: size_bytes + anywhere for device, size_bytes in sums.items()}


@settings(max_examples=400, deadline=None)
@given(hosts())
def test_the_starts_of_a_round_never_take_more_than_there_is_beside_what_runs(
    snapshot: PlotterSnapshot,
) -> None:
    starts, _ = plan_starts(snapshot, (), T)
    plots = [(start.tmp, start.dst or "") for start in starts]
    tmp2 = () if snapshot.tmp2 is None else (snapshot.tmp2,)
    # A directory that is both tmp and dst has one device; the tmp entry's is the one that counts.
    tmp_paths = {each.path for each in snapshot.tmp_dirs}
    looked_at = [
        *snapshot.tmp_dirs,
        *tmp2,
        *(each for each in snapshot.dst_dirs if each.path not in tmp_paths),
    ]
    wanted = taken(snapshot, plots, snapshot.jobs)
    touched = set(taken(snapshot, plots, ())) if starts else set()
    for each in looked_at:
        if each.device in touched and taken(snapshot, plots, ())[each.device]:
            assert wanted[each.device] <= (each.free_bytes or 0)


@settings(max_examples=300, deadline=None)
@given(hosts(), pending)
def test_deciding_twice_starts_nothing_more(snapshot: PlotterSnapshot, orders: list[PendingOrder]) -> None:
    first = decided({"p1": snapshot}, {}, {}, {"p1": orders}, {}, T)
    on_board = [*orders, *as_orders(first.starts, T)]
    again = decided({"p1": snapshot}, {}, {}, {"p1": on_board}, {}, T)
    assert again.starts == ()
    assert sorted(map(str, again.waits)) == sorted(map(str, first.waits))


@settings(max_examples=200, deadline=None)
@given(hosts(), pending)
def test_no_two_orders_are_for_one_start(snapshot: PlotterSnapshot, orders: list[PendingOrder]) -> None:
    starts: tuple[Start, ...] = plan_starts(snapshot, orders, T)[0]
    tokens = [start.start_token for start in starts]
    assert len(set(tokens)) == len(tokens)
    assert not set(tokens) & {each.start_token for each in valid(snapshot, orders)}


@settings(max_examples=200, deadline=None)
@given(hosts(), pending, st.integers(-50, 5000))
def test_something_always_tells_why_nothing_starts(
    snapshot: PlotterSnapshot, orders: list[PendingOrder], seconds: int
) -> None:
    now: datetime = T + timedelta(seconds=seconds)
    starts, waits = plan_starts(snapshot, orders, now)
    subjects = {wait.subject for wait in waits}
    assert starts or None in subjects or {tmp.path for tmp in snapshot.tmp_dirs} <= subjects
    assert all(wait.until is None or wait.until > now for wait in waits)
