"""`replot`: which old plots may be replaced by new ones, and when."""

from __future__ import annotations

import datetime
import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from common.config.sections.base import MOST_BYTES, Folder, Section
from common.model.plot_class import Month, PoolKind
from common.model.replot import (
    CONTRACT_DIGITS,
    K_LEAST,
    K_MOST,
    POOL_KEY_DIGITS,
    OldClass,
    first_overlap,
)

NOW, FORK = "now", "fork"
_LEVEL_MOST = 9  # of bladebit, whose header has it
_MOST_CLASSES = 64
HEIGHT_MOST = 100_000_000


def _class_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", name):
        raise ValueError("is not a name of letters, digits, dashes and underscores")
    return name


def _levels(value: Any) -> Any:
    return [value] if isinstance(value, int) and not isinstance(value, bool) else value


def _pool_key(text: str) -> str:
    digits = text.lower().removeprefix("0x")
    if not re.fullmatch(rf"[0-9a-f]{{{CONTRACT_DIGITS}}}|[0-9a-f]{{{POOL_KEY_DIGITS}}}", digits):
        raise ValueError(
            f"is neither a contract's puzzle hash ({CONTRACT_DIGITS} digits) nor a pool's public key "
            f"({POOL_KEY_DIGITS} digits); `plotman inventory --json` has them"
        )
    return digits


def _text_of_date(value: Any) -> Any:
    """YAML reads 2027-01-31 as a date."""
    return value.isoformat() if type(value) is datetime.date else value


def _start(text: str) -> str:
    if text in (NOW, FORK):
        return text
    try:
        if re.fullmatch(r"2\d{3}-\d\d-\d\d", text):
            return datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise ValueError("is neither now, fork, nor a date, for example 2027-01-31")


Level = Annotated[int, Field(ge=0, le=_LEVEL_MOST)]


class ReplotClassSection(Section):
    """A class of plots of the first proof of space that may be replaced; others never are.

    A plot belongs to it by its header, not by its name. A key that is absent matches every plot.
    """

    k: int | None = Field(None, ge=K_LEAST, le=K_MOST, description="Size of the plots.", examples=[32])
    compression: Annotated[
        tuple[Level, ...] | None, BeforeValidator(_levels), Field(min_length=1, max_length=_LEVEL_MOST + 1)
    ] = Field(
        None,
        description="Level of compression, or a list of levels; 0: not compressed. Plots whose header does "
        "not give it, such as Gigahorse's, are never replaced.",
        examples=[[0]],
    )
    pool: PoolKind | None = Field(
        None, description="contract: portable plots. key: of a pool key (OG).", examples=["key"]
    )
    pool_key: Annotated[str, AfterValidator(_pool_key)] | None = Field(
        None,
        description="The contract's puzzle hash, or the pool's public key, in hexadecimal.",
        examples=["ab" * 48],
    )
    made_before: Month | None = Field(
        None,
        description="Year and month: only plots that were made earlier. It is of the file's name, else of "
        "its time of change, because no header has it.",
        examples=["2023-01"],
    )

    @model_validator(mode="after")
    def _names_a_key(self) -> Self:
        # An empty class would be every old plot: more than an owner means who writes a name and no key.
        if all(value is None for _, value in self):
            raise ValueError(f"names no plots: write at least one of {', '.join(type(self).model_fields)}")
        return self

    @model_validator(mode="after")
    def _pool_fits(self) -> Self:
        if self.pool is not None and OldClass("", pool_key=self.pool_key).pool_kind not in (None, self.pool):
            kind = "public key of a pool" if self.pool is PoolKind.CONTRACT else "contract's puzzle hash"
            raise ValueError(f"pool is {self.pool}, and pool_key is a {kind}")
        return self

    def old(self, name: str) -> OldClass:
        """The class, as rules compare it. name: which the owner gave it."""
        return OldClass(name, self.k, self.compression, self.pool, self.pool_key, self.made_before)


class Replot(Section):
    """Which old plots may be replaced by new ones, and when. `plotman replot start` orders it."""

    classes: dict[Annotated[str, AfterValidator(_class_name)], ReplotClassSection] = Field(
        {},
        max_length=_MOST_CLASSES,
        description="Classes of old plots, each with a name of your choice, in the order in which they go. "
        "All other plots stay. No plot may belong to two of them. Absent: all plots stay.",
        examples=[{"og": {"k": 32, "compression": 0, "pool": "key"}}],
    )
    low_water_bytes: int = Field(
        0,
        ge=0,
        le=MOST_BYTES,
        description="Space that stays free on each drive, in bytes; harvester.margin_bytes if that is more.",
    )
    max_per_day: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Most old plots of the farm in a day, divided among its harvesters. Absent: no limit.",
        examples=[200],
    )
    fork_height: int | None = Field(
        None,
        ge=1,
        le=HEIGHT_MOST,
        description="Height from which the network takes new plots, and fewer proofs of old ones each day. "
        "Absent: as chia's full node names it, see chia_root; without one, not known.",
        examples=[11_000_000],
    )
    chia_root: Folder | None = Field(
        None,
        description="Folder of chia's settings on this machine (CHIA_ROOT). `plotman replot` asks chia's "
        "full node for the heights of the network and of the fork. Absent: chia is not asked.",
        examples=["/home/chia/.chia/mainnet"],
    )
    v2_weight: float = Field(
        1.0,
        gt=0,
        le=100,
        allow_inf_nan=False,
        description="What a byte of a new plot farms, compared with a byte of an uncompressed old one before "
        "the fork.",
    )
    start: Annotated[str, BeforeValidator(_text_of_date), AfterValidator(_start)] = Field(
        FORK,
        description="fork: each class when that loses least, after the fork. now, or a date: from then on, "
        "one class after the other.",
    )

    @model_validator(mode="after")
    def _classes_agree(self) -> Self:
        if overlap := first_overlap(self.old):
            one, other = overlap
            raise ValueError(
                f"a plot could belong to both classes {one.name} and {other.name}: give them different k, "
                "compression, pool or pool_key"
            )
        return self

    @property
    def old(self) -> tuple[OldClass, ...]:
        """The classes, in the order in which they go."""
        return tuple(one.old(name) for name, one in self.classes.items())
