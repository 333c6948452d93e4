"""What plots on drives have in common, and their sums."""

# No `from __future__ import annotations`: see common.model.snapshot.

import re
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from common.model.bounds import Otherwise
from common.model.figures import FEW, LONGEST_LABEL, Bytes, Count, Notice, PoolKey, Whole


class PoolKind(StrEnum):
    """How a plot is bound to its pool."""

    KEY = "key"  # farmed for a pool's public key, or for the farmer alone
    CONTRACT = "contract"  # a "portable" plot, for a pool contract (NFT)


def _month(text: str) -> str:
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", text):
        raise ValueError("is not a year and month, for example 2023-01")
    return text


Month = Annotated[str, AfterValidator(_month)]  # in which plots were made: `2026-11`


class PlotClass(Notice):
    """What plots have in common that count as one class. All of it is of their headers, besides the level of
    formats that have it in the name only."""

    format: Annotated[str, AfterValidator(lambda text: text[:LONGEST_LABEL])]
    k: Annotated[int | None, Field(ge=1, le=99), Otherwise(None)] = None
    compression: Whole | None = None  # level; 0: not compressed
    strength: Whole | None = None  # of PoS2
    pool: PoolKind | None = None
    pool_key: PoolKey = None  # public: the contract's puzzle hash, or the public key; hex
    unfarmable: bool = False  # no released software farms it


class ClassSum(PlotClass):
    """Plots of one class. A file with a group of plots counts as many plots as it has."""

    plots: Count = 0
    files: Count = 0
    bytes: Bytes = 0


class InventorySums(Notice):
    """What a harvester found on its drives. Drives that are lost now do not count.

    classes: those with most bytes. others: all classes besides, as one; None: there are none.
    faults: files that look like plots and are no whole plots.
    duplicates: plots that are there in several files.
    listed, read: files that were found, and how many of them were read so far.
    """

    classes: Annotated[tuple[ClassSum, ...], FEW] = ()
    others: ClassSum | None = None
    faults: Count = 0
    fault_bytes: Bytes = 0
    duplicates: Count = 0
    listed: Count = 0
    read: Count = 0
