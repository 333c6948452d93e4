"""The figures of the fork: which proofs survive, when a new plot is worth more, what fits where one was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from beat.policy.replot.worth import (
    EPOCH_BLOCKS,
    Calendar,
    due_epochs,
    fill,
    height_after,
    new_plot_bytes,
    survival_after,
    weight_per_byte,
)

FORK = 11_000_000
K32_BYTES = round(101.4 * 2**30)


def survival_at(height: int) -> float:
    return survival_after((height - FORK) / EPOCH_BLOCKS)


@pytest.mark.parametrize(
    ("epochs", "share"),
    [
        (-1, 1.0),
        (0, 255 / 256),
        (64, 0.746),
        (128, 0.496),
        (192, 0.246),
        (254, 0.004),
        (255, 0.0),
        (900, 0.0),
    ],
)
def test_proofs_of_old_plots_survive_as_in_chias_code(epochs: int, share: float) -> None:
    assert survival_after(epochs) == pytest.approx(share, abs=0.0005)


def test_survival_falls_with_the_first_block_of_an_epoch() -> None:
    assert survival_at(FORK - 1) == 1.0
    assert survival_at(FORK) == 255 / 256
    assert survival_at(FORK + 1) == survival_at(FORK + EPOCH_BLOCKS) == 254 / 256
    assert survival_at(FORK + 254 * EPOCH_BLOCKS) == 1 / 256
    assert survival_at(FORK + 254 * EPOCH_BLOCKS + 1) == 0


def test_an_uncompressed_plot_has_the_weight_one_and_a_compressed_one_more() -> None:
    assert weight_per_byte(32, 10, 10 * K32_BYTES) == pytest.approx(1.0, abs=0.001)
    assert weight_per_byte(32, 1, round(K32_BYTES / 1.35)) == pytest.approx(1.35, abs=0.001)


@pytest.mark.parametrize(
    ("weight", "new_weight", "epochs"),
    [(1.0, 1.0, 0), (1.35, 1.0, 66), (3.0, 1.0, 170), (1.0, 0.39, 156), (0.9, 1.0, 0), (1e9, 1e-9, 255)],
)
def test_replacing_begins_to_pay_when_a_proof_of_the_old_plot_is_worth_less(
    weight: float, new_weight: float, epochs: int
) -> None:
    assert due_epochs(weight, new_weight) == epochs
    height = height_after(FORK, epochs)
    assert weight * survival_at(height) < new_weight
    assert epochs == 0 or weight * survival_at(height - 1) >= new_weight


def test_heights_have_dates_by_a_known_height_or_by_the_one_of_now() -> None:
    now = datetime(2027, 1, 1, tzinfo=UTC)
    assert Calendar.of(now).date_of(9_562_000 + 10 * EPOCH_BLOCKS) == datetime(2026, 11, 22, tzinfo=UTC)
    calendar = Calendar.of(now, 9_800_000)
    assert calendar.date_of(9_800_000 + 4608) == now + timedelta(days=1)


def test_one_old_k32_plot_makes_room_for_a_group_of_108() -> None:
    fit = fill(K32_BYTES)
    assert fit.plots == 108
    assert dict(fit.groups) == {32: 3, 64: 1}
    assert fit.singles == 107
    assert 0 <= K32_BYTES - 108 * new_plot_bytes() < new_plot_bytes()


@pytest.mark.parametrize("freed_bytes", [0, 1, 900_000_000])
def test_a_plot_smaller_than_a_new_one_makes_room_for_none(freed_bytes: int) -> None:
    assert (fill(freed_bytes).plots, fill(freed_bytes).groups, fill(freed_bytes).singles) == (0, (), 0)
