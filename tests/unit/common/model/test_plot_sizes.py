"""Sizes of finished plots against what was measured."""

from __future__ import annotations

import pytest

from common.model.plot_sizes import V2_K, v1_plot_bytes, v2_plot_bytes


@pytest.mark.parametrize(("k", "measured_bytes"), [(22, 73.8e6), (25, 669e6), (32, 108.84e9)])
def test_an_uncompressed_plot_has_the_measured_size(k: int, measured_bytes: float) -> None:
    assert v1_plot_bytes(k) == pytest.approx(measured_bytes, rel=0.02)


@pytest.mark.parametrize(("k", "measured_bytes"), [(18, 656_500), (20, 2.89e6), (22, 12.5e6), (24, 54.3e6)])
def test_a_plot_of_the_new_proof_of_space_has_the_measured_size(k: int, measured_bytes: float) -> None:
    assert v2_plot_bytes(k, grouped=False) == pytest.approx(measured_bytes, rel=0.01)


def test_a_plot_in_a_group_is_smaller_than_one_alone() -> None:
    assert v2_plot_bytes(V2_K, grouped=True) == pytest.approx(0.99e9, rel=0.005)
    assert v2_plot_bytes(V2_K, grouped=False) == pytest.approx(1.00e9, rel=0.005)
