"""The figures of the fork: which proofs survive, when a new plot is worth more, what fits where one was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from beat.policy.replot import worth
from beat.policy.replot.worth import (
    EPOCH_BLOCKS,
    Calendar,
    due_epochs,
    fill,
    full_bytes,
    height_after,
    v1_survival,
    weight_per_byte,
)

FORK = 11_000_000
K32_BYTES = round(101.4 * 2**30)


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
    assert v1_survival(FORK + epochs * EPOCH_BLOCKS, FORK) == pytest.approx(share, abs=0.0005)


def test_survival_falls_with_the_first_block_of_an_epoch() -> None:
    assert v1_survival(FORK - 1, FORK) == 1.0
    assert v1_survival(FORK, FORK) == 255 / 256
    assert v1_survival(FORK + 1, FORK) == v1_survival(FORK + EPOCH_BLOCKS, FORK) == 254 / 256
    assert v1_survival(FORK + 254 * EPOCH_BLOCKS, FORK) == 1 / 256
    assert v1_survival(FORK + 254 * EPOCH_BLOCKS + 1, FORK) == 0


def test_an_uncompressed_plot_has_the_weight_one_and_a_compressed_one_more() -> None:
    assert full_bytes(32) == pytest.approx(108.9e9, rel=0.001)
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
    assert weight * v1_survival(height, FORK) < new_weight
    assert epochs == 0 or weight * v1_survival(height - 1, FORK) >= new_weight


def test_heights_have_dates_by_a_known_height_or_by_the_one_of_now() -> None:
    now = datetime(2027, 1, 1, tzinfo=UTC)
    assert Calendar.of(now).date_of(9_562_000 + 10 * EPOCH_BLOCKS) == datetime(2026, 11, 22, tzinfo=UTC)
    calendar = Calendar.of(now, 9_800_000)
    assert calendar.date_of(9_800_000 + 4608) == now + timedelta(days=1)
    assert calendar.height_at(now - timedelta(days=2)) == 9_800_000 - 2 * 4608


def test_one_old_k32_plot_makes_room_for_a_group_of_108() -> None:
    fit = fill(K32_BYTES)
    assert fit.plots == 108
    assert dict(fit.groups) == {32: 3, 64: 1}
    assert fit.singles == 107
    assert 0 <= fit.rest_bytes < worth.new_plot_bytes()
    rest = K32_BYTES - 3 * 32 * worth.new_plot_bytes()
    assert rest == pytest.approx(13e9, rel=0.05)


@pytest.mark.parametrize("freed_bytes", [0, 1, 900_000_000])
def test_a_plot_smaller_than_a_new_one_makes_room_for_none(freed_bytes: int) -> None:
    assert (fill(freed_bytes).plots, fill(freed_bytes).groups, fill(freed_bytes).singles) == (0, (), 0)
    assert fill(freed_bytes).rest_bytes == freed_bytes
