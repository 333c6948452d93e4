"""Which plots are replaced and which stay, in small cases and over random farms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beat.policy.replot.planner import (
    NO_DRIVE,
    NO_MONTH,
    NO_SIZE,
    NOT_NAMED,
    ODD_SIZE,
    DriveState,
    PlotGroup,
    plan,
)
from beat.policy.replot.worth import new_plot_bytes
from common.model.figures import MOST
from common.model.plot_class import PlotClass, PoolKind
from common.model.plot_sizes import v1_plot_bytes
from common.model.replot import OldClass, why_never
from common.model.replot_victims import DriveId, Victim, first_turn

K32 = round(v1_plot_bytes(32))
OG = PlotClass(format="v1.0", k=32, compression=0, pool=PoolKind.KEY, pool_key="ab" * 48)
C7 = PlotClass(format="bladebit 2", k=32, compression=7, pool=PoolKind.CONTRACT, pool_key="05" * 32)
GROUP = PlotClass(
    format="PoS2 02", k=28, compression=0, strength=2, pool=PoolKind.CONTRACT, pool_key="05" * 32
)
GIGAHORSE = PlotClass(format="mmx-v2.4", k=32, compression=30, pool=PoolKind.CONTRACT, pool_key="05" * 32)
CLASS_OG, CLASS_C7 = OldClass("og", levels=(0,)), OldClass("c7", levels=(7,))
A, B = DriveId("h1", "/a"), DriveId("h1", "/b")


def group(
    plots: int = 10, of: PlotClass = OG, drive: DriveId = A, month: str | None = "2021-05"
) -> PlotGroup:
    size_bytes = K32 if of is not C7 else round(K32 / 1.35)
    return PlotGroup(drive, of, month, plots, plots, plots * size_bytes)


def test_plots_of_named_classes_are_replaced_and_all_others_stay_with_the_reason() -> None:
    found = plan(
        [group(), group(5, C7, B), group(7, GROUP), group(2, GIGAHORSE)],
        {A: DriveState(0), B: DriveState(0)},
        [CLASS_OG],
    )
    assert [(one.old.name, one.plots, one.bytes, one.drives) for one in found.classes] == [
        ("og", 10, 10 * K32, 1)
    ]
    assert {(kept.why, kept.plots) for kept in found.kept} == {
        (NOT_NAMED, 5),
        ("of the new proof of space", 7),
        ("the header does not give the compression level", 2),
    }
    assert [one.drive for one in found.drives] == [A]
    assert [one.headers for one in found.drives[0].classes] == [(OG,)]


def test_without_classes_all_plots_stay() -> None:
    found = plan([group()], {A: DriveState(0)}, [])
    assert (found.plots, found.drives, [kept.plots for kept in found.kept]) == (0, (), [10])


@pytest.mark.parametrize(
    ("one", "drives", "why"),
    [
        (group(), {A: DriveState(0, closed="the drive is draining")}, "the drive is draining"),
        (group(), {A: DriveState(None)}, NO_DRIVE),
        (group(), {B: DriveState(0)}, NO_DRIVE),
        (PlotGroup(A, OG, "2021-05", 10, 1, 10 * K32), {A: DriveState(0)}, NO_SIZE),
        (PlotGroup(A, OG, "2021-05", 10, 10, 0), {A: DriveState(0)}, NO_SIZE),
        (PlotGroup(A, OG, "2021-05", -1, -1, -5), {A: DriveState(0)}, NO_SIZE),
        (PlotGroup(A, OG, "2021-05", 0, 0, 0), {A: DriveState(0)}, NO_SIZE),
        (PlotGroup(A, OG, "2021-05", 10, 10, MOST), {A: DriveState(0)}, NO_SIZE),
        (PlotGroup(A, OG, "2021-05", 10, 10, 300_000), {A: DriveState(0)}, ODD_SIZE),
        (PlotGroup(A, OG, "2021-05", 10, 10, 25 * K32), {A: DriveState(0)}, ODD_SIZE),
    ],
    ids=[
        "closed",
        "free unknown",
        "drive unknown",
        "files differ",
        "no bytes",
        "negative",
        "none",
        "bytes cut",
        "too small",
        "too large",
    ],
)
def test_what_is_not_known_stays(one: PlotGroup, drives: dict[DriveId, DriveState], why: str) -> None:
    found = plan([one], drives, [CLASS_OG])
    assert (found.plots, found.drives, [kept.why for kept in found.kept]) == (0, (), [why])


def test_a_group_is_judged_by_the_average_size_of_its_plots() -> None:
    some_odd = PlotGroup(A, OG, "2021-05", 10, 10, 8 * K32 + 2 * 300_000)
    most_odd = PlotGroup(A, OG, "2021-06", 10, 10, 2 * K32 + 8 * 300_000)
    found = plan([some_odd, most_odd], {A: DriveState(0)}, [CLASS_OG])
    assert (found.plots, [(kept.plots, kept.why) for kept in found.kept]) == (10, [(10, ODD_SIZE)])


def test_a_class_with_a_month_takes_only_plots_whose_month_is_known() -> None:
    old = OldClass("old", levels=(0,), made_before="2022-01")
    found = plan([group(), group(2, month="2022-01"), group(3, month=None)], {A: DriveState(0)}, [old])
    assert found.plots == 10
    assert {(kept.why, kept.plots) for kept in found.kept} == {(NOT_NAMED, 2), (NO_MONTH, 3)}


def test_new_plots_fill_what_is_freed_above_low_water() -> None:
    (drive,) = plan([group(1)], {A: DriveState(5 * 10**9, 3 * 10**9)}, [CLASS_OG]).drives
    assert drive.freed_bytes == K32
    assert drive.new_plots == (K32 + 2 * 10**9) // new_plot_bytes() == 110
    assert 3 * 10**9 <= drive.free_after_bytes < 3 * 10**9 + new_plot_bytes()


def test_a_drive_below_low_water_gets_its_space_back_first() -> None:
    (drive,) = plan([group(1)], {A: DriveState(0, K32 + 1)}, [CLASS_OG]).drives
    assert (drive.new_plots, drive.free_after_bytes) == (0, K32)


@pytest.mark.parametrize("first_closed", [False, True], ids=["both go", "first stays"])
@pytest.mark.parametrize(
    "free_bytes", [0, 40 * 10**9, 500 * 10**9], ids=["below low water", "below by less than a plot", "above"]
)
def test_drives_of_one_file_system_count_its_free_bytes_once_and_a_closed_one_takes_none(
    free_bytes: int, first_closed: bool
) -> None:
    low_water_bytes = 150 * 10**9
    closed = "the drive is draining" if first_closed else None
    states = {
        A: DriveState(free_bytes, low_water_bytes, closed, "d"),
        B: DriveState(free_bytes, low_water_bytes, None, "d"),
    }
    found = plan([group(1), group(2, drive=B)], states, [CLASS_OG])
    room_bytes = free_bytes + found.bytes - low_water_bytes
    assert found.plots == (2 if first_closed else 3)
    assert sum(one.new_plots for one in found.drives) == room_bytes // new_plot_bytes()
    assert found.drives[0].free_bytes == free_bytes
    assert found.drives[-1].free_after_bytes == low_water_bytes + room_bytes % new_plot_bytes()


def test_equal_names_of_devices_on_two_hosts_are_two_file_systems() -> None:
    other = DriveId("h2", "/a")
    states = {A: DriveState(5 * 10**9, 0, None, "d"), other: DriveState(5 * 10**9, 0, None, "d")}
    found = plan([group(1), group(1, drive=other)], states, [CLASS_OG])
    assert [one.free_bytes for one in found.drives] == [5 * 10**9] * 2


def test_a_class_that_pays_earlier_than_the_one_before_it_is_named() -> None:
    groups, drives = [group(), group(5, C7)], {A: DriveState(0)}
    assert plan(groups, drives, [CLASS_OG, CLASS_C7]).out_of_order == ()
    ((one, other),) = plan(groups, drives, [CLASS_C7, CLASS_OG]).out_of_order
    assert (one.old.name, other.old.name) == ("c7", "og")
    assert (one.due_epochs, other.due_epochs) == (66, 0)


def victims(*named: tuple[int, DriveId, str]) -> list[Victim]:
    return [Victim(drive, name, 100, number) for number, drive, name in named]


def test_the_first_turn_has_one_plot_of_each_host_of_the_first_class_that_it_has() -> None:
    other = DriveId("h2", "/a")
    given_ = victims((1, A, "a1"), (0, A, "a2"), (0, B, "b1"), (1, other, "c1"))
    assert [one.name for one in first_turn(given_)] == ["a2", "c1"]
    assert first_turn([]) == ()


HEADERS = st.builds(
    PlotClass,
    format=st.sampled_from(["v1.0", "bladebit 2", "mmx-v2.4", "PoS2 02", "pos2 01", "others"]),
    k=st.sampled_from([18, 31, 32, None]),
    compression=st.sampled_from([0, 1, 7, None]),
    strength=st.sampled_from([None, None, 2]),
    pool=st.sampled_from([*PoolKind, None]),
    pool_key=st.sampled_from(["05" * 32, "ab" * 48, None]),
)
DRIVE_IDS = st.builds(DriveId, st.sampled_from(["h1", "h2"]), st.sampled_from(["/a", "/b", "/c"]))
MONTHS = st.sampled_from(["2020-01", "2022-06", None])
GROUPS = st.builds(
    PlotGroup,
    DRIVE_IDS, HEADERS, MONTHS, st.sampled_from([-1, 0, *[5] * 6]), st.sampled_from([1, *[5] * 5]),
    st.one_of(st.integers(-1, 10**13), st.sampled_from([round(5 * v1_plot_bytes(k)) for k in (18, 31, 32)])),
)  # fmt: skip
DRIVES = st.dictionaries(
    DRIVE_IDS,
    st.builds(
        DriveState,
        st.one_of(st.none(), st.integers(0, 10**12)),
        st.integers(0, 10**12),
        st.sampled_from([None, None, "the drive is draining"]),
    ),
)
# No two overlap.
CLASSES = st.permutations(
    [
        OldClass("a", k=32, levels=(0,)),
        OldClass("b", k=32, levels=(1, 7)),
        OldClass("c", k=31, made_before="2022-01"),
    ]
).flatmap(lambda every: st.integers(0, 3).map(lambda count: every[:count]))


@given(st.lists(GROUPS, max_size=20), DRIVES, CLASSES)
def test_only_named_classes_are_replaced_and_every_plot_is_counted_once(
    groups: list[PlotGroup], drives: dict[DriveId, DriveState], classes: list[OldClass]
) -> None:
    found = plan(groups, drives, classes)
    assert [one.old for one in found.classes] == classes
    for part in (part for drive in found.drives for part in drive.classes):
        old = classes[part.number]
        for header in part.headers:
            assert why_never(header) is None
            assert old.k == header.k
            assert old.levels is None or header.compression in old.levels
    assert found.plots + sum(kept.plots for kept in found.kept) == sum(one.plots for one in groups)
    assert found.bytes + sum(kept.bytes for kept in found.kept) == sum(one.bytes for one in groups)
    assert found.bytes == sum(one.freed_bytes for one in found.drives)
    if not classes:
        assert found.plots == 0


@given(st.lists(GROUPS, max_size=20), DRIVES, CLASSES)
def test_new_plots_take_no_more_than_is_freed_and_free_above_low_water(
    groups: list[PlotGroup], drives: dict[DriveId, DriveState], classes: list[OldClass]
) -> None:
    for drive in plan(groups, drives, classes).drives:
        state = drives[drive.drive]
        assert state.closed is None
        assert state.free_bytes is not None
        room_bytes = max(0, state.free_bytes - state.low_water_bytes)
        assert drive.new_bytes <= drive.freed_bytes + room_bytes
        assert drive.free_after_bytes >= min(state.free_bytes, state.low_water_bytes)
        if drive.new_plots:
            assert 0 <= drive.free_after_bytes - state.low_water_bytes < new_plot_bytes()
        numbers = [one.number for one in drive.classes]
        assert numbers == sorted(set(numbers))
        assert all(one.plots > 0 for one in drive.classes)
