"""Which old plots may be replaced by new ones: classes that the owner names, by what the headers say. Pure.

A file's name decides nothing here, with one exception: the month in which a plot was made is in no header. It
narrows a class and never makes one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from common.model.plot_class import PlotClass, PoolKind

# Formats of the first proof of space whose header has the compression level: of chiapos and madMAx, bladebit.
# Gigahorse writes another format word, and the level into the name only.
V1_FORMATS = ("v1.0", "bladebit 2")
_LEVEL_IN_NAME = "mmx"
CONTRACT_DIGITS, POOL_KEY_DIGITS = 64, 96  # of a puzzle hash, of a public key; hex
K_LEAST, K_MOST = 16, 50  # that plotters of the first proof of space make


@dataclass(frozen=True, slots=True)
class OldClass:
    """A class of old plots that the owner has named. None: any that the header states.

    levels: of compression; 0: not compressed.
    pool_key: hex; the contract's puzzle hash, or the pool's public key.
    made_before: year and month, `2023-01`: only plots that were made earlier.
    """

    name: str
    k: int | None = None
    levels: tuple[int, ...] | None = None
    pool: PoolKind | None = None
    pool_key: str | None = None
    made_before: str | None = None

    def matches(self, plots: PlotClass, month: str | None) -> bool:
        """Whether plots belong to this class.

        Args:
            plots: what their headers say.
            month: in which they were made, `2022-11`; None: not known.
        """
        return self._fits_header(plots) and (
            self.made_before is None or (month is not None and month < self.made_before)
        )

    def needs_month(self, plots: PlotClass) -> bool:
        """Whether plots whose month is not known would belong to this class by their headers."""
        return self.made_before is not None and self._fits_header(plots)

    def overlaps(self, other: OldClass) -> bool:
        """Whether one plot could belong to both: its headers, and whenever it was made."""
        pairs = ((self.k, other.k), (self.pool_kind, other.pool_kind), (self.pool_key, other.pool_key))
        if any(one is not None and two is not None and one != two for one, two in pairs):
            return False
        return self.levels is None or other.levels is None or bool({*self.levels} & {*other.levels})

    @property
    def pool_kind(self) -> PoolKind | None:
        """As named, or as the length of `pool_key` implies."""
        if self.pool is not None or self.pool_key is None:
            return self.pool
        return PoolKind.CONTRACT if len(self.pool_key) == CONTRACT_DIGITS else PoolKind.KEY

    def _fits_header(self, plots: PlotClass) -> bool:
        return (
            why_never(plots) is None
            and self.k in (None, plots.k)
            and (self.levels is None or plots.compression in self.levels)
            and self.pool_kind in (None, plots.pool)
            and self.pool_key in (None, plots.pool_key)
        )


def why_never(plots: PlotClass) -> str | None:
    """Why plots with these headers belong to no class, whatever the owner names; None: they may."""
    if plots.format.startswith(("PoS2", "pos2")) or plots.strength is not None:
        return "of the new proof of space"
    if plots.format.startswith(_LEVEL_IN_NAME):
        return "the header does not give the compression level"
    if plots.format not in V1_FORMATS or plots.unfarmable:
        return "of a format that plotman does not know"
    if plots.compression is None:
        return "the header does not give the compression level"
    if plots.k is None or not K_LEAST <= plots.k <= K_MOST:
        return "the header does not give k"
    if plots.pool is None or plots.pool_key is None:
        return "the header names no pool"
    return None


def first_overlap(classes: Iterable[OldClass]) -> tuple[OldClass, OldClass] | None:
    """Two classes to which one plot could belong; None: there are none."""
    before: list[OldClass] = []
    for one in classes:
        for other in before:
            if one.overlaps(other):
                return other, one
        before.append(one)
    return None
