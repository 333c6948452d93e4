"""What operators stopped, and hours for starting: nothing begins, and the wait says who, why, until when."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from beat.policy.starts.starts import plan_starts
from common.model.pending import MoveStep
from common.model.snapshot import Directory, Drive, DriveUse, Hold, PlotterSnapshot, Wait
from tests.unit.beat.builders import (
    T,
    archiver,
    at,
    directory,
    drive,
    farm,
    keeper,
    move,
    plan_moves,
    plot,
    plotter,
    reasons,
    rules,
    tmp_dir,
)

HOLD = Hold(reason="new cable", by="anna@desk", since=at(-60), until=at(7200))
SAID = "new cable (anna@desk), until 14:00"


def only(waits: tuple[Wait, ...]) -> Wait:
    (wait,) = waits
    return wait


def test_a_paused_host_starts_nothing_and_goes_on_by_itself() -> None:
    snapshot = plotter(plotting=False, pause_reason=SAID, paused=HOLD)
    starts, waits = plan_starts(snapshot, (), T)
    assert not starts
    assert (only(waits).rule, only(waits).reason, only(waits).until) == (
        "paused",
        f"paused: {SAID}",
        at(7200),
    )


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"plotting": True}, ""),
        ({"pause_reason": "new fan (anna@desk)", "paused": HOLD}, "paused: new fan (anna@desk)"),
        ({"pause_reason": "paused (anna@desk)", "paused": HOLD}, "paused (anna@desk)"),
        ({"pause_reason": "the host is drained", "paused": HOLD, "drained": HOLD}, "the host is drained"),
        ({"pause_reason": "fan", "paused": Hold(reason="fan"), "drained": HOLD}, "paused: fan"),
        ({"pause_reason": "`plotman archive` starts none"}, "paused: `plotman archive` starts none"),
        ({}, "paused"),
    ],
)  # fmt: skip
def test_a_pause_is_described_without_doubled_words(fields: dict[str, Any], text: str) -> None:
    assert plotter(**{"plotting": False, **fields}).pause_text == text


def test_a_pause_that_is_over_by_our_clock_is_the_hosts_to_lift() -> None:
    snapshot = plotter(plotting=False, pause_reason=SAID, paused=HOLD)
    assert only(plan_starts(snapshot, (), at(7201))[1]).until is None


def test_a_drained_tmp_directory_is_passed_over() -> None:
    snapshot = plotter(tmp_dir("/tmp1", drained=HOLD), tmp_dir("/tmp2"), utc_offset_s=3600)
    starts, waits = plan_starts(snapshot, (), T)
    assert {start.tmp for start in starts} == {"/tmp2"}
    drained = next(wait for wait in waits if wait.rule == "drained")
    assert drained.subject == "/tmp1"
    assert drained.reason == "drained: new cable (anna@desk), until 15:00"
    assert drained.until == at(7200)


@pytest.mark.parametrize(
    ("dsts", "goes_to"),
    [
        ((directory("/dst1", drained=HOLD), directory("/dst2", free_gb=500)), "/dst2"),
        ((directory("/dst1"), directory("/dst2", drained=Hold())), "/dst1"),
    ],
)
def test_a_drained_dst_directory_gets_no_plot(dsts: tuple[Directory, ...], goes_to: str) -> None:
    starts, _ = plan_starts(plotter(dst_dirs=dsts), (), T)
    assert {start.dst for start in starts} == {goes_to}


def test_where_all_dst_directories_are_drained_nothing_starts_and_each_is_named() -> None:
    dsts = (directory("/dst1", drained=HOLD), directory("/dst2", drained=Hold()))
    starts, waits = plan_starts(plotter(dst_dirs=dsts), (), T)
    assert not starts
    assert rules(waits) == [("dst drained", "/tmp1")]
    assert "/dst1" in reasons(waits)[0]
    assert "/dst2" in reasons(waits)[0]


def test_a_drained_tmp2_stops_the_host() -> None:
    starts, waits = plan_starts(plotter(tmp2=directory("/t2", drained=HOLD)), (), T)
    assert not starts
    assert reasons(waits)[0] == f"tmp2 /t2 is drained: {SAID}"


@pytest.mark.parametrize(
    ("now", "opens"),
    [(T, at(8 * 3600)), (at(8 * 3600), None), (at(15 * 3600), None), (at(16 * 3600), at(32 * 3600))],
)
def test_outside_its_hours_a_host_waits_for_the_next(now: datetime, opens: datetime | None) -> None:
    """At T it is 14:00 on the wall, and the window opens at 22:00."""
    snapshot = plotter(windows=("22:00-06:00",), utc_offset_s=2 * 3600)
    starts, waits = plan_starts(snapshot, (), now)
    if opens is None:
        assert starts
        return
    assert not starts
    assert only(waits).rule == "windows"
    assert only(waits).reason == "outside scheduling.windows until 22:00"
    assert only(waits).until == opens


HELD = {"archiving_paused": HOLD}
ROOM = farm(h1=[drive()])


def moves_of(snapshot: PlotterSnapshot, **given: object) -> tuple[int, tuple[Wait, ...]]:
    records = given.get("records", ())
    ordered, waits = plan_moves(snapshot, archiver(), records, ROOM, T)  # type: ignore[arg-type]
    return len(ordered), waits


def test_while_archiving_is_paused_no_plot_sets_out() -> None:
    ordered, waits = moves_of(keeper(plot(), **HELD))
    assert not ordered
    assert only(waits).reason == f"archiving is paused: {SAID}"
    assert only(waits).until == at(7200)


@pytest.mark.parametrize("step", [MoveStep.ADMIT, MoveStep.RELEASE])
def test_a_plot_whose_bytes_have_all_been_sent_goes_on(step: MoveStep) -> None:
    assert moves_of(keeper(plot(), **HELD), records=(move(step=step, expires_at=at(-1)),))[0] == 1
    assert moves_of(keeper(plot(copied_to="h1"), **HELD))[0] == 1


def test_a_plot_whose_copy_was_no_good_does_not_set_out_again() -> None:
    put_aside = move(step=MoveStep.ADMIT, attempts=1, retry_at=at(-1), absent=True)
    assert moves_of(keeper(plot(copied_to="h1"), **HELD), records=(put_aside,))[0] == 0


def test_a_transfer_that_broke_does_not_begin_again() -> None:
    assert (
        moves_of(keeper(plot(), **HELD), records=(move(step=MoveStep.TRANSFER, expires_at=at(-1)),))[0] == 0
    )


def test_drives_drained_by_a_person_count_as_those_drained_by_plotman_yaml() -> None:
    drained: list[Drive] = [drive(path=f"/farm/{n}", use=DriveUse.DRAINING, drained=HOLD) for n in (1, 2)]
    ordered, waits = plan_moves(keeper(plot()), archiver(), (), farm(h1=drained), T)
    assert not ordered
    assert f"no drive of h1 accepts new plots (2 draining); drained: {SAID}" in reasons(waits)[0]
