"""Which plots belong to a class of old ones: by their headers, and by nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from common.model.plot_class import PlotClass, PoolKind
from common.model.replot import OldClass, first_overlap, why_never

CONTRACT, KEY = "05" * 32, "ab" * 48
OG = PlotClass(format="v1.0", k=32, compression=0, pool=PoolKind.KEY, pool_key=KEY)
C7 = PlotClass(format="bladebit 2", k=32, compression=7, pool=PoolKind.CONTRACT, pool_key=CONTRACT)
EVERY = OldClass("every")


def but(plots: PlotClass, **changed: Any) -> PlotClass:
    return PlotClass(**{**dict(plots), **changed})


@pytest.mark.parametrize(
    ("old", "matching"),
    [
        (EVERY, {"og", "c7"}),
        (OldClass("x", k=32), {"og", "c7"}),
        (OldClass("x", k=33), set()),
        (OldClass("x", levels=(0,)), {"og"}),
        (OldClass("x", levels=(5, 7)), {"c7"}),
        (OldClass("x", pool=PoolKind.KEY), {"og"}),
        (OldClass("x", pool=PoolKind.CONTRACT), {"c7"}),
        (OldClass("x", pool_key=CONTRACT), {"c7"}),
        (OldClass("x", pool_key=KEY), {"og"}),
        (OldClass("x", pool_key="06" * 32), set()),
        (OldClass("x", levels=(0,), pool=PoolKind.CONTRACT), set()),
    ],
)
def test_a_plot_belongs_to_a_class_if_its_header_has_all_that_the_class_names(
    old: OldClass, matching: set[str]
) -> None:
    assert {name for name, plots in (("og", OG), ("c7", C7)) if old.matches(plots, "2022-01")} == matching


@pytest.mark.parametrize(
    ("plots", "why"),
    [
        (but(OG, format="PoS2 02", k=28, strength=2), "of the new proof of space"),
        (but(OG, format="PoS2 82", k=28), "of the new proof of space"),
        (but(OG, format="pos2 01", k=28, strength=2), "of the new proof of space"),
        (but(OG, strength=2), "of the new proof of space"),
        # The inventory has Gigahorse's level from the name, which may lie.
        (but(C7, format="mmx-v2.4"), "the header does not give the compression level"),
        (but(OG, compression=None), "the header does not give the compression level"),
        (but(OG, format="bladebit 3"), "of a format that plotman does not know"),
        (but(OG, format="others"), "of a format that plotman does not know"),
        (but(OG, unfarmable=True), "of a format that plotman does not know"),
        (but(OG, k=None), "the header does not give k"),
        (but(OG, k=1 << 40), "the header does not give k"),
        (but(OG, pool=None), "the header names no pool"),
        (but(OG, pool_key=None), "the header names no pool"),
        (OG, None),
        (C7, None),
    ],
)
def test_what_the_header_does_not_state_or_is_new_belongs_to_no_class(
    plots: PlotClass, why: str | None
) -> None:
    assert why_never(plots) == why
    assert EVERY.matches(plots, "2022-01") == (why is None)


def test_the_month_narrows_a_class_and_an_unknown_month_is_outside() -> None:
    before = OldClass("x", made_before="2023-01")
    assert before.matches(OG, "2022-12")
    assert not before.matches(OG, "2023-01")
    assert not before.matches(OG, None)
    assert before.needs_month(OG)
    assert not EVERY.needs_month(OG)
    assert not before.matches(but(OG, format="PoS2 02", k=28), "2019-01")
    assert not before.needs_month(but(OG, format="PoS2 02", k=28))


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        (OldClass("a"), OldClass("b", k=32), True),
        (OldClass("a", k=32), OldClass("b", k=33), False),
        (OldClass("a", levels=(0, 1)), OldClass("b", levels=(1, 2)), True),
        (OldClass("a", levels=(0,)), OldClass("b", levels=(1, 2)), False),
        (OldClass("a", pool=PoolKind.KEY), OldClass("b", pool=PoolKind.CONTRACT), False),
        (OldClass("a", pool=PoolKind.KEY), OldClass("b", pool_key=CONTRACT), False),
        (OldClass("a", pool=PoolKind.CONTRACT), OldClass("b", pool_key=CONTRACT), True),
        (OldClass("a", pool_key="06" * 32), OldClass("b", pool_key=CONTRACT), False),
        (OldClass("a", k=32), OldClass("b", levels=(7,)), True),
        (OldClass("a", made_before="2020-01"), OldClass("b", made_before="2022-01"), True),
    ],
)
def test_two_classes_overlap_if_a_plot_could_belong_to_both(
    one: OldClass, other: OldClass, overlap: bool
) -> None:
    assert one.overlaps(other) == other.overlaps(one) == overlap
    assert first_overlap([one, other]) == ((one, other) if overlap else None)


def test_all_pairs_of_classes_are_compared() -> None:
    first, second, third = OldClass("a", k=32), OldClass("b", k=33), OldClass("c", levels=(7,), k=32)
    assert first_overlap([first, second, third]) == (first, third)
    assert first_overlap([]) is None
