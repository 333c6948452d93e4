"""Disk space that one plot takes: figures measured or documented for each plotter, scaled to other k.

Only for planning: whether a plot is complete is never inferred from k.
"""

from __future__ import annotations

from common.model.plot_sizes import v1_plot_bytes, v2_plot_bytes

GIB = 1024**3


def plot_bytes(k: int) -> int:
    """A finished, uncompressed plot, with a margin of 1 %, 3 % below k25, 10 % below k22."""
    margin = 1.01 if k >= 25 else 1.03 if k >= 22 else 1.10
    return round(v1_plot_bytes(k) * margin)


def chiapos_tmp_bytes(k: int) -> int:
    """Peak in tmp of chiapos with tmp2 in the same directory.

    256.6e9 bytes (239 GiB) at k32 as Chia documents it; in proportion to k * 2**k, with a margin of 5 %. That
    covers all peaks measured with chiapos 2.0.12 (8.3, 16.5, 39.4, 78.6, 165.7 and 1,620 MB at k18, k19, k20,
    k21, k22 and k25), by 1 to 18 %.
    """
    return round(_scaled(256.6e9, k) * 1.05)


def madmax_tmp_bytes(k: int, separate_tmp2: bool) -> tuple[int, int]:
    """Peaks of madMAx in tmp and tmp2.

    `chia_plot --help` 1.1.8: 220 GiB in tmp and 110 GiB in tmp2 at k32, less than 256 GiB for both together.
    Measured with both in one: 14, 59, 126, 240 MB at k18, k20, k21, k22; 2.04 GB at k25.
    """
    # More than in proportion at small k: its buckets do not shrink with the plot.
    factor = 1.6 if k <= 22 else 1.3 if k < 32 else 1.0
    if separate_tmp2:
        return round(_scaled(220 * GIB, k) * factor), round(_scaled(110 * GIB, k) * factor)
    return round(_scaled(256 * GIB, k) * factor), 0


def _scaled(k32_bytes: float, k: int) -> float:
    return k32_bytes * 2.0 ** (k - 32) * k / 32


def compressed_plot_bytes(k: int, compression: int | None) -> int:
    """A finished plot of any level of compression, never too low.

    Linear between an uncompressed plot and bladebit's C9 of 75.2e9 bytes at k32 (docs.chia.net), with the
    same margin. Real plots are smaller (Gigahorse's C7 at k32: 76.6e9, its log). Levels above 9 (Gigahorse)
    count as 9.
    """
    smaller = (1 - 75.2e9 / 108.8e9) * min(compression or 0, 9) / 9
    return round(plot_bytes(k) * (1 - smaller))


def pos2_plot_bytes(k: int) -> int:
    """A plot of the new proof of space in a file of its own, with a margin of 2 %."""
    return round(v2_plot_bytes(k, grouped=False) * 1.02)


def xchplot2_tmp_bytes(k: int) -> int:
    """Peak of xchplot2 in tmp, if the machine has too little memory: 7.1 GiB at k28 (its REFERENCE.md)."""
    return round(7.1 * GIB * 2.0 ** (k - 28))


def bladebit_disk_tmp_bytes(separate_tmp2: bool) -> tuple[int, int]:
    """Peaks of diskplot in tmp and tmp2, k32.

    480 GiB in all (bladebit's README; 390 GiB with --alternate). The shares are not documented; tmp2
    holds y, metadata and index, each twice: 2 * (4 + 16 + 4) bytes * 2**32 = 192 GiB. With a margin for both.
    """
    return (310 * GIB, 200 * GIB) if separate_tmp2 else (480 * GIB, 0)


def bladebit_cuda_tmp_bytes(separate_tmp2: bool) -> tuple[int, int]:
    """Peaks of cudaplot --disk-128 and --disk-16 in tmp and tmp2, k32; our estimate, rounded up.

    No figure is published. Derived from its file names: in tmp a left and a right table (4 and 2 bytes an
    entry) for each of tables 2-7, 144 GiB; in tmp2 y, metadata and unsorted pairs (4 + 16 + 6 bytes),
    104 GiB.
    """
    return (160 * GIB, 110 * GIB) if separate_tmp2 else (270 * GIB, 0)


def gigahorse_gpu_tmp_bytes(k: int, compression: int | None, separate_tmp2: bool) -> tuple[int, int]:
    """Peaks of cuda_plot_* in tmp and tmp2: in tmp the plot before its copy; in tmp2, unless it is `@RAM`,
    about half of the 256 GiB of memory that k32 takes without it (Gigahorse's README; our estimate)."""
    plot = compressed_plot_bytes(k, compression)
    return plot, round(_scaled(128 * GIB, k)) if separate_tmp2 else 0
