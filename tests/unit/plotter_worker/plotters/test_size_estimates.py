"""Room planned for a plot against what was measured."""

from __future__ import annotations

import pytest

from plotter_worker.plotters.base import CommandLine
from plotter_worker.plotters.registry import plotter_for
from plotter_worker.plotters.size_estimates import (
    GIB,
    chiapos_tmp_bytes,
    compressed_plot_bytes,
    madmax_tmp_bytes,
    plot_bytes,
)


@pytest.mark.parametrize(
    ("k", "measured_bytes"),
    [(18, 8.3e6), (19, 16.5e6), (20, 39.4e6), (21, 78.6e6), (22, 165.7e6), (25, 1.62e9), (32, 239 * GIB)],
)
def test_chiapos_never_peaks_above_its_plan_and_not_far_below(k: int, measured_bytes: float) -> None:
    assert measured_bytes <= chiapos_tmp_bytes(k) <= measured_bytes * 1.2


@pytest.mark.parametrize(
    ("k", "measured_bytes"),
    [(18, 14e6), (20, 59e6), (21, 126e6), (22, 240e6), (24, 1.0e9), (25, 2.04e9), (32, 256 * GIB)],
)
def test_madmax_never_peaks_above_its_plan_and_not_far_below(k: int, measured_bytes: float) -> None:
    together, nothing = madmax_tmp_bytes(k, separate_tmp2=False)
    assert nothing == 0
    assert measured_bytes <= together <= measured_bytes * 1.25


def test_madmax_at_k32_takes_what_its_help_says() -> None:
    assert madmax_tmp_bytes(32, separate_tmp2=True) == (220 * GIB, 110 * GIB)


@pytest.mark.parametrize(
    ("k", "measured_bytes"),
    [
        (18, 3_913_050), (18, 4_105_597), (19, 8_570_254), (20, 16_838_688), (21, 35_912_330),
        (22, 73_000_000), (22, 74_697_887), (24, 322_000_000), (25, 667_964_032), (25, 670_000_000),
        (32, 108_836_186_159),
    ],
)  # fmt: skip
def test_no_plot_is_larger_than_its_plan(k: int, measured_bytes: int) -> None:
    assert measured_bytes <= plot_bytes(k) <= measured_bytes * 1.1


@pytest.mark.parametrize(("level", "real_bytes"), [(7, 76.6e9), (9, 75.2e9)])
def test_compressed_plots_are_planned_smaller_yet_never_too_small(level: int, real_bytes: float) -> None:
    assert real_bytes <= compressed_plot_bytes(32, level) < plot_bytes(32)
    assert compressed_plot_bytes(32, None) == plot_bytes(32)


def test_without_k_there_is_no_size_estimate() -> None:
    assert plotter_for("chia").size_estimate(CommandLine("chia", k=None)) is None


def test_a_tmp2_equal_to_tmp_takes_no_space_of_its_own() -> None:
    plotter = plotter_for("chia")
    together = plotter.size_estimate(CommandLine("chia", k=32, tmp="/t", tmp2="/t"))
    apart = plotter.size_estimate(CommandLine("chia", k=32, tmp="/t", tmp2="/t2"))
    assert together is not None and together.tmp2_bytes == 0
    assert apart is not None and apart.tmp2_bytes == apart.dst_bytes
