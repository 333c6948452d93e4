"""How large finished plots are, and which the main network farms. Pure.

Sizes are means without a margin; each user adds the margin that its purpose needs. Whether a plot is
complete is never inferred from its size.
"""

from __future__ import annotations

V1_LEAST_K = 32  # the smallest plot of the first proof of space that the main network takes
V2_K = 28  # the only size of the new proof of space that it takes (CHIP-48)
# Bits for each of 2**k entries beyond k, of a file with one plot, and of a group of 32.
_SINGLE_BITS, _GROUPED_BITS = 1.90, 1.49


def v1_plot_bytes(k: int) -> float:
    """An uncompressed plot of the first proof of space: k32 108.9e9 bytes.

    (2k + 1) * 2**(k - 1) bytes is Chia's figure (`_expected_plot_size`); real plots have 78 % of it.
    Measured: k32 108.8e9 bytes, k25 667,964,032 to 670e6, k22 73.0e6 to 74.7e6, k18 3,913,050 to 4,105,597:
    the smaller the plots, the more they vary.
    """
    return (2 * k + 1) * 2.0 ** (k - 1) * 0.78


def v2_plot_bytes(k: int, grouped: bool) -> float:
    """A plot of the new proof of space: k28 1.00e9 bytes alone, 0.99e9 in a group.

    Measured with chia_rs 0.53, alone: 655,000 to 658,000 bytes at k18, 2.89e6 at k20, 12.5e6 at k22, 54.3e6
    at k24. k28 is computed from them. Sizes differ by half a percent from plot to plot.

    Args:
        k: of the plot.
        grouped: whether it is one of a group of plots in one file.
    """
    return (k + (_GROUPED_BITS if grouped else _SINGLE_BITS)) * 2.0**k / 8
