"""When classes go at a pace, against the simulation whose table is in docs/replot.md."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beat.policy.replot.planner import ClassPlan
from beat.policy.replot.schedule import (
    Span,
    When,
    daily_shares,
    earliest_day,
    mean_weight,
    needed_bytes_per_day,
    spans,
    weights,
)
from beat.policy.replot.worth import due_epochs
from common.model.replot import OldClass

TIB = 2**40
BYTES = 500 * TIB
PLOTS = 5000


def old(weight: float = 1.0, new_weight: float = 1.0, plots: int = PLOTS) -> ClassPlan:
    size_bytes = BYTES * plots // PLOTS
    return ClassPlan(OldClass("x"), plots, size_bytes, 1, weight, due_epochs(weight, new_weight))


@pytest.mark.parametrize(
    ("weight", "new_weight", "tib_per_day", "begins"),
    [
        (1.0, 1.0, 4, 0), (1.0, 1.0, 10, 0), (1.0, 1.0, 40, 0),
        (1.35, 1.0, 4, 4), (1.35, 1.0, 10, 40), (1.35, 1.0, 40, 60),
        (3.0, 1.0, 4, 108), (3.0, 1.0, 10, 144), (3.0, 1.0, 40, 164),
        (1.0, 0.39, 4, 92), (1.0, 0.39, 10, 132), (1.0, 0.39, 40, 148),
    ],
)  # fmt: skip
def test_a_class_begins_when_the_simulation_lost_least(
    weight: float, new_weight: float, tib_per_day: int, begins: int
) -> None:
    found = spans([old(weight, new_weight)], tib_per_day * TIB, None, When(0))
    assert found is not None
    assert found[0].begins == pytest.approx(begins, abs=2)
    assert found[0].ends - found[0].begins == pytest.approx(500 / tib_per_day)


@pytest.mark.parametrize(("tib_per_day", "mean"), [(4, 0.960), (10, 0.994), (40, 1.000)])
def test_the_mean_of_256_days_is_that_of_the_simulation(tib_per_day: int, mean: float) -> None:
    classes = [old()]
    assert mean_weight(classes, spans(classes, tib_per_day * TIB, None, When(0)), 0, 1.0) == pytest.approx(
        mean, abs=0.002
    )
    assert mean_weight(classes, None, 0, 1.0) == pytest.approx(0.498, abs=0.001)


@pytest.mark.parametrize("begins", [0, 20, 60, 120])
def test_no_other_beginning_loses_less(begins: float) -> None:
    classes = [old(1.35)]
    best = spans(classes, 10 * TIB, None, When(0))
    other = (Span(begins, begins + 50),)
    assert mean_weight(classes, best, 0, 1.0) >= mean_weight(classes, other, 0, 1.0)


def test_classes_go_one_after_the_other_and_never_before_the_fork() -> None:
    classes = [old(), old(1.35)]
    found = spans(classes, 10 * TIB, None, When(fork_day=30))
    assert found == (Span(30, 80), Span(80, 130))
    assert spans(classes, 40 * TIB, None, When(fork_day=30)) == (Span(30, 42.5), Span(88.75, 101.25))
    assert spans(classes, 40 * TIB, None, When(fork_day=-300)) == (Span(0, 12.5), Span(12.5, 25))


def test_an_owner_who_says_now_or_a_date_waits_for_no_fork() -> None:
    assert spans([old(1.35)], 10 * TIB, None, When(None, 7, if_it_pays=False)) == (Span(7, 57),)
    assert spans([old(1.35)], 10 * TIB, None, When(100, -7, if_it_pays=False)) == (Span(0, 50),)


def test_without_a_fork_or_a_pace_no_date_is_known() -> None:
    assert spans([old()], 10 * TIB, None, When(None)) is None
    assert spans([old()], 0, None, When(0)) is None


def test_a_most_per_day_is_a_limit_and_no_pace() -> None:
    assert spans([old()], 10 * TIB, 20, When(0)) == (Span(0, 250),)
    assert spans([old()], 10 * TIB, 1000, When(0)) == (Span(0, 50),)


def test_a_class_that_is_empty_takes_no_time() -> None:
    empty = ClassPlan(OldClass("x"), 0, 0, 0, 0.0, 0)
    assert spans([empty, old()], 10 * TIB, None, When(0)) == (Span(0, 0), Span(0, 50))
    assert mean_weight([empty], None, 0, 1.0) == 0
    assert [Span(3, 3).share_at(day) for day in (2, 3, 4)] == [0, 1, 1]


def test_a_slow_class_ends_before_its_old_proofs_are_worth_nothing() -> None:
    found = spans([old(3.0)], BYTES / 200, None, When(0))
    assert found == (Span(54, 254),)


def test_the_pace_that_is_needed_is_that_of_the_days_that_are_left() -> None:
    assert needed_bytes_per_day(BYTES, When(10)) == pytest.approx(BYTES / 254)
    assert needed_bytes_per_day(BYTES, When(-54)) == pytest.approx(BYTES / 200)
    assert needed_bytes_per_day(BYTES, When(0, 54, if_it_pays=False)) == pytest.approx(BYTES / 200)
    assert needed_bytes_per_day(BYTES, When(None)) is None
    assert needed_bytes_per_day(BYTES, When(-254)) is None


def test_new_plots_farm_nothing_before_the_fork() -> None:
    early = weights([old()], (Span(0, 50),), 100, 1.0, [0, 25, 99, 100])
    assert [(weight.old, weight.new) for weight in early] == [(1.0, 0), (0.5, 0), (0, 0), (0, 1.0)]


def test_old_weight_falls_and_new_weight_rises() -> None:
    shown = list(weights([old()], (Span(0, 50),), 0, 0.5, [0, 25, 50, 300]))
    assert [round(weight.new, 3) for weight in shown] == [0, 0.25, 0.5, 0.5]
    assert [round(weight.old, 3) for weight in shown] == [0.996, 0.449, 0, 0]
    assert shown[1].sum == pytest.approx(0.699, abs=0.001)


@pytest.mark.parametrize(
    ("when", "rate_tib", "day"),
    [
        (When(None), 10, None),
        (When(None, 7, if_it_pays=False), 10, 7),
        (When(100), 10, 140),
        (When(100), 0, 165),
        (When(-300), 10, 0),
    ],
    ids=["fork unknown", "date", "half before it pays", "pace unknown", "fork past"],
)
def test_a_class_may_go_from_a_day_that_depends_on_no_other_class(
    when: When, rate_tib: int, day: float | None
) -> None:
    assert earliest_day(old(1.35), rate_tib * TIB, None, when) == day


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 10**6), min_size=1), st.integers(0, 1000))
def test_a_limit_of_a_day_is_divided_without_rest_and_each_host_gets_some(
    plots: dict[str, int], more: int
) -> None:
    shares = daily_shares(len(plots) + more, plots)
    assert sum(shares.values()) == len(plots) + more or not any(plots.values())
    assert shares.keys() == plots.keys()
    assert min(shares.values()) >= 1
    for host, other in ((one, two) for one in plots for two in plots if plots[one] > plots[two]):
        assert shares[host] >= shares[other]
