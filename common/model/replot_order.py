"""Orders to replace old plots by new ones on one harvester."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, ConfigDict, FailFast, Field, model_validator

from common.errors import OrderRefused
from common.model.bounds import Bounded
from common.model.messages import Count, Message, Moment, OneLine, SizeBytes
from common.model.plot_class import Month, PoolKind
from common.model.replot import CONTRACT_DIGITS, K_LEAST, K_MOST, POOL_KEY_DIGITS, OldClass, first_overlap

MOST_CLASSES = 64
_Level = Annotated[int, Field(ge=0, le=9)]  # of bladebit, whose header has it
_Hex = rf"^([0-9a-f]{{{CONTRACT_DIGITS}}}|[0-9a-f]{{{POOL_KEY_DIGITS}}})$"


class ReplotClass(Bounded):
    """A class of old plots that may go, as common.model.replot.OldClass. None: any that the header states.

    not_before: the class stays until then; None: it may go now.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$")]
    k: Annotated[int, Field(ge=K_LEAST, le=K_MOST)] | None = None
    levels: Annotated[tuple[_Level, ...], Field(min_length=1, max_length=10)] | None = None
    pool: PoolKind | None = None
    pool_key: Annotated[str, Field(pattern=_Hex)] | None = None
    made_before: Month | None = None
    not_before: Moment | None = None

    @model_validator(mode="after")
    def _names_a_key(self) -> Self:
        if all(value is None for value in (self.k, self.levels, self.pool, self.pool_key, self.made_before)):
            raise ValueError("names no plots: k, levels, pool, pool_key or made_before is missing")
        kind = OldClass(self.name, pool_key=self.pool_key).pool_kind
        if None not in (kind, self.pool) and kind is not self.pool:
            raise ValueError("pool_key is not of this kind of pool")
        return self

    @property
    def old(self) -> OldClass:
        """The class, as rules compare it."""
        return OldClass(self.name, self.k, self.levels, self.pool, self.pool_key, self.made_before)


def _agree(classes: tuple[ReplotClass, ...]) -> tuple[ReplotClass, ...]:
    if len({one.name for one in classes}) < len(classes):
        raise ValueError("two classes have the same name")
    if first_overlap(one.old for one in classes) is not None:
        raise ValueError("a plot could belong to two of the classes")
    return classes


ReplotClasses = Annotated[
    tuple[ReplotClass, ...],
    FailFast(),
    Field(min_length=1, max_length=MOST_CLASSES),
    AfterValidator(_agree),
]


class ReplotOrder(Message):
    """Replace old plots of these classes, in this order, by new ones, until there are none of them.

    An order in place of another one keeps what was counted, if it has no other classes than that one.
    Their dates do not matter.

    low_water_bytes: stays free on each drive, where the harvester's own plotman.yaml does not say how much.
    max_per_day: most old plots that this harvester deletes in a day; None: no limit.
    """

    host: OneLine
    classes: ReplotClasses
    low_water_bytes: SizeBytes = 0
    max_per_day: Annotated[Count, Field(ge=1)] | None = None
    reason: OneLine | None = None
    by: OneLine | None = None

    @classmethod
    def read(cls, /, **arguments: Any) -> Self:
        """Check a task's arguments. Unlike in other messages, an unknown key is refused in any version: a
        class without a key that narrows it would be larger than its owner means. Raises OrderRefused."""
        classes = arguments.get("classes")
        unknown = arguments.keys() - cls.model_fields.keys()
        for one in classes[:MOST_CLASSES] if isinstance(classes, list | tuple) else ():
            unknown |= one.keys() - ReplotClass.model_fields.keys() if isinstance(one, Mapping) else set()
        if unknown:
            raise OrderRefused(
                "The order has keys that this harvester does not know.",
                "Upgrade plotman on this machine, or correct the order.",
            )
        return super().read(**arguments)


class ReplotSwitch(Message):
    """Pause, resume or stop the replacing of old plots on one harvester."""

    host: OneLine
    reason: OneLine | None = None
    by: OneLine | None = None
