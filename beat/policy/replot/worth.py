"""What a stored byte of an old plot is worth, and when a new one is worth more. Pure.

Sources: CHIP-49; chia-blockchain 2.7.5, `is_v1_phased_out` (survival of a v1 proof, compared over 4000
proofs).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from common.model.plot_sizes import V2_K, v1_plot_bytes, v2_plot_bytes

EPOCH_BLOCKS = 4608  # a day of the network: 32 blocks in 10 minutes
_EPOCHS = 256
# From this number of epochs after the fork, no v1 proof survives.
GONE_EPOCHS = 255
# A height of the main network with its date, from which others are reckoned with 4608 blocks a day.
KNOWN_HEIGHT, KNOWN_AT = 9_562_000, datetime(2026, 11, 12, tzinfo=UTC)

_MARGIN = 1.01  # of new plots, whose sizes differ by half a percent
_GROUPS = (32, 64, 128)  # usual numbers of plots in a group


def survival_after(epochs: float) -> float:
    """The share of proofs of v1 plots that the network accepts.

    epochs: days of 4608 blocks after the fork; negative: before it.
    """
    return 1.0 if epochs < 0 else max(0, GONE_EPOCHS - math.ceil(epochs)) / _EPOCHS


def weight_per_byte(k: int, plots: int, size_bytes: int) -> float:
    """What a stored byte of v1 plots farms before the fork; 1: as much as a byte of an uncompressed plot.

    Args:
        k: of the plots.
        plots: number of plots.
        size_bytes: of all of them, more than 0.
    """
    return v1_plot_bytes(k) * plots / size_bytes


def due_epochs(weight: float, new_weight: float) -> int:
    """Epochs after the fork from which a new plot farms more than an old one in its place.

    Args:
        weight: of a byte of the old plots before the fork.
        new_weight: of a byte of new plots after the fork, more than 0.
    """
    return next(
        (epochs for epochs in range(GONE_EPOCHS) if weight * survival_after(epochs) < new_weight), GONE_EPOCHS
    )


def height_after(fork_height: int, epochs: int) -> int:
    """The first height with the survival of this number of epochs after the fork."""
    return fork_height if epochs <= 0 else fork_height + EPOCH_BLOCKS * (epochs - 1) + 1


@dataclass(frozen=True, slots=True)
class Calendar:
    """Heights as dates: by the height of the network at one time, and 4608 blocks a day."""

    height: int
    at: datetime

    @classmethod
    def of(cls, now: datetime, height: int | None = None) -> Calendar:
        """Make the calendar. height: of the network now; None: reckoned from a height with a known date."""
        return cls(KNOWN_HEIGHT, KNOWN_AT) if height is None else cls(height, now)

    def date_of(self, height: int) -> datetime:
        return self.at + timedelta(days=(height - self.height) / EPOCH_BLOCKS)


@dataclass(frozen=True, slots=True)
class Fill:
    """New k28 plots that fit where an old plot was.

    plots: in one group.
    groups: (size, number) of usual groups that fit beside each other, for the most plots.
    singles: plots that fit as single files.
    """

    plots: int
    groups: tuple[tuple[int, int], ...]
    singles: int


def new_plot_bytes() -> int:
    """Bytes to reserve for a new plot in a group."""
    return math.ceil(v2_plot_bytes(V2_K, grouped=True) * _MARGIN)


def fill(freed_bytes: int) -> Fill:
    """How to fill the bytes that one old plot frees."""
    plots = _fitting(freed_bytes, grouped=True)
    groups = tuple((size, plots // size) for size in _GROUPS if plots >= size)
    return Fill(plots, groups, singles=_fitting(freed_bytes, grouped=False))


def _fitting(freed_bytes: int, *, grouped: bool) -> int:
    return int(freed_bytes / (v2_plot_bytes(V2_K, grouped) * _MARGIN))
