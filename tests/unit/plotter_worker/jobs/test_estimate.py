"""Percent and ETA by the durations of the host's own plots."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.history.rows import End, PlotEnd
from common.model.phase import Phase
from plotter_worker.jobs.estimate import (
    Kind,
    LearnedPlots,
    Shown,
    Timeline,
    estimate,
    estimate_batch,
    median_of,
    timeline_of,
)

AT = datetime(2026, 11, 30, 8, tzinfo=UTC)
PHASES = [Phase(major, minor) for major in range(1, 6) for minor in range(4)]
KIND = Kind("madmax", None, 32, None, "/mnt/tmp/1")
LEARNED = Timeline(
    ((Phase(1, 0), 0.0), (Phase(2, 0), 50.0), (Phase(3, 0), 60.0), (Phase(4, 0), 90.0)), end_s=100.0
)


def plot(number: int, **known: object) -> PlotEnd:
    steps_s = {"1:1": 0.0, "2:1": 50.0, "3:1": 60.0, "4:1": 90.0, "end": 100.0}
    values = {"end": End.DONE, "plotter": "madmax", "k": 32, "tmp": KIND.tmp, "steps_s": steps_s} | known
    base = {"key": f"t{number}", "host": "p1", "task_id": f"t{number}", "ended_at": AT}
    return PlotEnd.model_validate(base | values)


def learned_from(*plots: PlotEnd) -> LearnedPlots:
    learned = LearnedPlots()
    for each in plots:
        learned.add(each)
    return learned


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    steps = draw(st.lists(st.sampled_from(PHASES), unique=True).map(sorted))
    times = draw(st.lists(st.floats(0, 1e6), min_size=len(steps), max_size=len(steps)).map(sorted))
    at_least_s = max(1.0, *times) if times else 1.0
    return Timeline(tuple(zip(steps, times, strict=True)), draw(st.floats(at_least_s, 2e6)))


@st.composite
def lives(draw: st.DrawFn) -> list[tuple[Phase, float]]:
    """(step, seconds since the start) of each look at a plot."""
    steps = draw(st.lists(st.sampled_from(PHASES), min_size=1).map(sorted))
    times = draw(st.lists(st.floats(0, 4e6), min_size=len(steps), max_size=len(steps)).map(sorted))
    return list(zip(steps, times, strict=True))


@given(timelines(), lives(), st.booleans())
def test_percent_never_decreases_and_no_eta_is_negative(
    learned: Timeline, life: list[tuple[Phase, float]], timed: bool
) -> None:
    reached: dict[Phase, float] = {}
    last = 0.0
    for phase, spent_s in life:
        if timed:
            reached.setdefault(phase, spent_s)
        found = estimate(learned, reached, phase, spent_s)
        assert last - 1e-9 <= found.percent <= 99
        assert found.eta_s >= 0
        last = found.percent


ID, NEXT = "ab" * 32, "cd" * 32
percents = st.floats(0, 100)
sources = st.sampled_from([None, LEARNED, Timeline(((Phase(1, 0), 0.0),), end_s=1000.0)])


@given(st.lists(st.tuples(sources, percents, st.booleans()), min_size=1), st.integers(0, 5))
def test_what_is_shown_of_a_plot_never_decreases_and_is_below_100_until_it_is_complete(
    told: list[tuple[Timeline | None, float, bool]], without_id: int
) -> None:
    shown = Shown()
    for number, (by, percent, restarts) in enumerate(told):
        before, plot_id = shown.percent, None if number < without_id else ID
        shown = shown.then(plot_id, by, percent, complete=False)
        assert before <= shown.percent <= 99
        if restarts:
            shown = Shown(shown.plot_id, shown.percent)
    assert shown.then(shown.plot_id, told[-1][0], 100, complete=True).percent == 100


@given(timelines(), timelines(), lives(), st.integers(0, 30), st.integers(0, 30))
def test_a_plot_never_goes_back_when_its_host_learns_or_its_worker_restarts(
    first: Timeline, second: Timeline, life: list[tuple[Phase, float]], learns_at: int, restarts_at: int
) -> None:
    shown, reached = Shown(), dict[Phase, float]()
    for number, (phase, spent_s) in enumerate(life):
        if number == restarts_at:
            shown, reached = Shown(shown.plot_id, shown.percent), {}
        reached.setdefault(phase, spent_s)
        learned = first if number < learns_at else second
        before = shown.percent
        shown = shown.then(ID, learned, estimate(learned, reached, phase, spent_s).percent, False)
        assert before <= shown.percent <= 99


@given(st.lists(st.tuples(sources, st.floats(0, 70)), min_size=1))
def test_what_is_learned_moves_no_bar_forward_while_nothing_is_made(
    told: list[tuple[Timeline | None, float]],
) -> None:
    of_source = dict(told)  # nothing is made: each source says the same all the time
    shown = Shown(ID, 70.0)
    for by, _ in told * 3:
        shown = shown.then(ID, by, of_source[by], False)
        assert shown.percent == 70


def test_the_bar_goes_on_evenly_after_the_host_has_learned_that_less_is_done() -> None:
    shown = Shown().then(ID, None, 60, False)
    seen = [shown := shown.then(ID, LEARNED, percent, False) for percent in (20, 40, 60, 80, 90)]
    assert [round(one.percent) for one in seen] == [60, 70, 80, 90, 95]


def test_the_next_plot_of_a_job_begins_anew_and_a_first_one_without_its_id_goes_on() -> None:
    shown = Shown().then(None, None, 3, False).then(ID, None, 1, False)
    assert (shown.plot_id, shown.percent) == (ID, 3)
    assert shown.then(NEXT, None, 1, False).percent == 1


@given(st.lists(timelines(), min_size=1, max_size=5))
def test_the_steps_of_a_median_are_in_order_and_before_its_end(several: list[Timeline]) -> None:
    found = median_of(several)
    times = [0.0, *(at_s for _, at_s in found.steps), found.end_s]
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("phase", "reached", "spent_s", "percent", "eta_s"),
    [
        pytest.param(Phase(1, 1), {Phase(1, 1): 0.0}, 10, 10, 90, id="within a phase by time"),
        pytest.param(Phase(2, 1), {Phase(2, 1): 50.0}, 55, 55, 45, id="by the steps that are passed"),
        pytest.param(Phase(2, 3), {Phase(2, 1): 50.0, Phase(2, 3): 57.0}, 58, 58, 42, id="unknown step"),
        pytest.param(Phase(3, 1), {}, 75, 75, 25, id="its steps were not seen"),
        pytest.param(Phase(3, 1), {}, 9, 60, 16, id="faster, its steps were not seen"),
        pytest.param(Phase(4, 1), {Phase(4, 1): 90.0}, 99.9, 99, 0, id="all but complete"),
    ],
)  # fmt: skip
def test_a_plot_is_where_the_former_plots_were(
    phase: Phase, reached: dict[Phase, float], spent_s: float, percent: float, eta_s: float
) -> None:
    found = estimate(LEARNED, reached, phase, spent_s)
    assert (round(found.percent), round(found.eta_s)) == (percent, eta_s)


def test_a_plot_whose_program_is_being_loaded_is_not_where_phase_1_begins() -> None:
    steps_s = {"0:0": 40.0, "1:0": 45.0, "2:0": 60.0, "end": 100.0}
    learned = timeline_of(plot(1, steps_s=steps_s))
    assert learned is not None
    assert estimate(learned, {}, Phase(0, 0), 1.0).percent == pytest.approx(1)
    assert estimate(learned, {Phase(0, 0): 41.0}, Phase(0, 0), 42.0).percent == pytest.approx(42)


def test_the_bar_waits_at_the_next_step_for_a_plot_that_is_late() -> None:
    late = estimate(LEARNED, {Phase(1, 1): 0.0}, Phase(1, 7), 80)
    assert late.percent == 50
    assert late.eta_s > 50, "what is late stays late"
    assert estimate(LEARNED, {Phase(4, 1): 90.0}, Phase(5, 1), 160).eta_s > 20, "it has no end in sight"


def test_a_slow_plot_is_expected_to_stay_slow() -> None:
    reached = {Phase(1, 1): 0.0, Phase(2, 1): 100.0, Phase(3, 1): 120.0}
    assert 60 < estimate(LEARNED, reached, Phase(3, 1), 120).eta_s < 80


def test_an_outlier_changes_nothing() -> None:
    hung = plot(3, steps_s={"1:1": 0, "2:1": 5000, "3:1": 9000, "4:1": 9100, "end": 9990})
    assert learned_from(plot(1), plot(2), hung).of(KIND) == learned_from(plot(1)).of(KIND)


def test_only_the_newest_plots_count() -> None:
    slow = {"1:1": 0, "2:1": 500, "3:1": 600, "4:1": 900, "end": 1000}
    timeline = learned_from(*map(plot, range(9)), *(plot(10 + n, steps_s=slow) for n in range(5))).of(KIND)
    assert timeline is not None
    assert timeline.end_s == 1000


def test_a_plot_that_is_reported_again_counts_once() -> None:
    slow = {"1:1": 0, "2:1": 500, "3:1": 600, "4:1": 900, "end": 1000}
    learned = learned_from(plot(1), plot(1, steps_s=slow), plot(1, steps_s=slow))
    assert learned.of(KIND) == learned_from(plot(1)).of(KIND)


@pytest.mark.parametrize(
    "other",
    [{"plotter": "chia"}, {"k": 33}, {"compression": 7}, {"mode": "cudaplot"}, {"end": End.FAILED}],
    ids=str,
)
def test_plots_of_another_kind_and_failed_ones_teach_nothing(other: dict[str, object]) -> None:
    assert learned_from(plot(1, **other)).of(KIND) is None


def test_a_new_tmp_directory_begins_with_what_the_others_took() -> None:
    learned = learned_from(plot(1))
    there = KIND._replace(tmp="/mnt/tmp/2")
    assert learned.of(there) == learned.of(KIND)
    slow = {"1:1": 0, "2:1": 500, "3:1": 600, "4:1": 900, "end": 1000}
    learned.add(plot(2, tmp=there.tmp, steps_s=slow))
    of_there, of_here = learned.of(there), learned.of(KIND)
    assert of_there and of_here
    assert (of_there.end_s, of_here.end_s) == (1000, 100)


def test_rows_without_steps_teach_by_the_durations_of_the_log() -> None:
    row = plot(
        1, steps_s=None, started_at=AT - timedelta(seconds=110), phase1_s=50, phase2_s=10, phase3_s=30,
        phase4_s=8, total_s=99, copy_s=6,
    )  # fmt: skip
    expected = ((Phase(1, 0), 5), (Phase(2, 0), 55), (Phase(3, 0), 65), (Phase(4, 0), 95), (Phase(5, 0), 103))
    assert timeline_of(row) == Timeline(expected, 110)


@pytest.mark.parametrize(
    "known", [{"steps_s": {}}, {"steps_s": {"1:1": 0.5}}, {"steps_s": None}, {"steps_s": {"end": 0}}], ids=str
)
def test_rows_that_do_not_say_how_long_it_took_or_only_with_idle_time_teach_nothing(
    known: dict[str, object],
) -> None:
    assert timeline_of(plot(1, **known)) is None
    assert timeline_of(plot(1, phase1_s=5, **known)) is None or known["steps_s"] is None


@pytest.mark.parametrize(
    ("done", "spent_s", "last_s", "one_s", "percent", "eta_s"),
    [
        (0, 5, 0, 10.0, 12.5, 35.0),  # by former jobs
        (0, 50, 0, 10.0, 24.75, 30.1),  # overdue: it waits for the first plot
        (2, 40, 40, 99.0, 50.0, 40.0),  # by its own plots, not by former ones
        (2, 50, 40, 99.0, 62.5, 30.0),  # by the time inside the third plot
        (4, 90, 80, None, 100.0, 0.0),
    ],
)
def test_a_batch_is_counted_by_its_plots_and_by_the_time_inside_one(
    done: int, spent_s: float, last_s: float, one_s: float | None, percent: float, eta_s: float
) -> None:
    found = estimate_batch(done, 4, spent_s, last_s, one_s)
    assert found is not None
    assert (found.percent, found.eta_s) == pytest.approx((percent, eta_s))


def test_the_first_batch_of_a_host_has_no_eta_before_its_first_plot() -> None:
    assert estimate_batch(0, 4, 100, 0, None) is None


@given(st.integers(1, 50), st.lists(st.floats(0.1, 1e4), min_size=1, max_size=50))
def test_the_percent_of_a_batch_never_leaves_0_to_100(asked: int, waits_s: list[float]) -> None:
    spent_s = last_s = 0.0
    for done, wait_s in enumerate(waits_s[:asked], 1):
        last_s = spent_s = spent_s + wait_s
        found = estimate_batch(done, asked, spent_s + wait_s, last_s, None)
        assert found is not None
        assert 100 * done / asked <= found.percent <= 100
        assert found.eta_s >= 0
