"""Plots of an evacuated drive: which move now, where to, and why the others wait."""

from __future__ import annotations

from typing import Any

import pytest

from beat.policy.decision import AdmissionOrder, Decision
from common.model.pending import MoveStep, PendingMove
from common.model.snapshot import (
    ArchiverSnapshot,
    DirState,
    Drive,
    DriveUse,
    Evacuating,
    FinishedPlot,
    HarvesterSnapshot,
    Hold,
    PlotterSnapshot,
    TargetReport,
    Transfer,
)
from tests.unit.beat.builders import T, archiver, at, decided, drive, farm, keeper, move, plot

OLD = "/farm/old"
A, B = (f"plot-k32-2026-11-22-12-00-{digit * 64}" for digit in "ab")


def leaving(name: str = A, **fields: Any) -> FinishedPlot:
    return plot(name, OLD, plot_id=name[-64:], **fields)


def evacuated(
    *plots: FinishedPlot, drives: tuple[Drive, ...] = (), old: dict[str, Any] | None = None, **fields: Any
) -> HarvesterSnapshot:
    """Harvester h1 with the evacuated drive, on a file system of its own, and others."""
    source = drive(500, OLD, **{"use": DriveUse.DRAINING, "device": "8:1", **(old or {})})
    of = {"drive": OLD, "since": at(-60), "plots": plots or (leaving(),), **fields}
    return HarvesterSnapshot(host="h1", at=T, drives=(source, *drives), evacuations=(Evacuating(**of),))


def round_of(
    h1: HarvesterSnapshot,
    *moves: PendingMove,
    plotters: dict[str, PlotterSnapshot] | None = None,
    archivers: dict[str, ArchiverSnapshot] | None = None,
    **others: list[Drive],
) -> Decision:
    """One round. others: drives of further harvesters, by host."""
    sender = {"h1": archiver("h1")} if archivers is None else archivers
    return decided(plotters or {}, sender, {"h1": h1, **farm(**others)}, {}, {"h1": list(moves)}, T)


def ways(decision: Decision) -> list[tuple[str, str, str]]:
    return [(each.host, each.plot.path, each.harvester) for each in decision.moves]


def why(decision: Decision) -> list[tuple[str, str | None, str]]:
    """Why nothing moves; the plotters of these tests start no plots."""
    waits = [wait for wait in decision.waits if wait.rule != "starts none"]
    return [(wait.rule, wait.subject, wait.reason) for wait in waits]


def test_a_plot_goes_to_another_drive_of_its_own_machine_first() -> None:
    h1 = evacuated(drives=(drive(200, "/farm/1", device="8:2"),))
    decision = round_of(h1, h2=[drive()])
    assert ways(decision) == [("h1", f"{OLD}/{A}.plot", "h1")]
    assert decision.moves[0].evacuates
    assert decision.moves[0].drives == ()


def test_without_room_there_it_goes_to_another_machine() -> None:
    assert ways(round_of(evacuated(), h2=[drive()])) == [("h1", f"{OLD}/{A}.plot", "h2")]


def test_a_folder_of_the_same_file_system_is_no_other_drive() -> None:
    h1 = evacuated(drives=(drive(200, "/farm/1", device="8:1"),))
    assert ways(round_of(h1, h2=[drive()])) == [("h1", f"{OLD}/{A}.plot", "h2")]
    assert ways(round_of(h1)) == []


def test_devices_of_other_machines_have_the_same_numbers() -> None:
    assert ways(round_of(evacuated(), h2=[drive(device="8:1")])) == [("h1", f"{OLD}/{A}.plot", "h2")]


def test_an_operator_may_name_where_the_plots_go() -> None:
    free = (drive(200, "/farm/1", device="8:2"),)
    assert ways(round_of(evacuated(drives=free, to=("h3",)), h2=[drive()], h3=[drive()])) == [
        ("h1", f"{OLD}/{A}.plot", "h3")
    ]
    two = [drive(50, "/farm/1"), drive(9_000, "/farm/2")]
    decision = round_of(evacuated(drives=free, to=("h2:/farm/2",)), h2=two)
    assert [each.drives for each in decision.moves] == [("/farm/2",)]
    decision = round_of(evacuated(drives=free, to=("h2:/farm/1",)), h2=two)
    assert decision.moves == ()
    assert why(decision) == [
        (
            "drives",
            OLD,
            "plot needs 108.0 GB; largest free drive of h2 has 50.0 GB; "
            "only h2:/farm/1 may take its plots, by --to",
        ),
    ]


def test_a_whole_host_and_one_of_its_drives_mean_the_host() -> None:
    decision = round_of(evacuated(to=("h2", "h2:/farm/1")), h2=[drive(50, "/farm/1"), drive(900, "/farm/2")])
    assert [each.drives for each in decision.moves] == [()]


def test_a_full_farm_waits_with_one_reason_for_the_drive() -> None:
    decision = round_of(evacuated(leaving(A), leaving(B)), h2=[drive(50)])
    assert decision.moves == ()
    assert why(decision) == [
        (
            "drives",
            OLD,
            "plot needs 108.0 GB; largest free drive of h2 has 50.0 GB, the most of 2 harvesters",
        )
    ]


def test_one_plot_at_a_time() -> None:
    decision = round_of(evacuated(leaving(A), leaving(B)), h2=[drive()] * 9)
    assert ways(decision) == [("h1", f"{OLD}/{A}.plot", "h2")]
    assert why(decision) == []
    under_way = move(f"{OLD}/{A}.plot", "h2", step=MoveStep.TRANSFER)
    assert ways(round_of(evacuated(leaving(A), leaving(B)), under_way, h2=[drive()] * 9)) == []
    checked = move(f"{OLD}/{A}.plot", "h2", step=MoveStep.ADMIT)
    assert ways(round_of(evacuated(leaving(A), leaving(B)), checked, h2=[drive()] * 9)) == []
    admitted = move(f"{OLD}/{A}.plot", "h2", step=MoveStep.RELEASE)
    assert ways(round_of(evacuated(leaving(A), leaving(B)), admitted, h2=[drive()] * 9)) == [
        ("h1", f"{OLD}/{B}.plot", "h2")
    ]


def test_two_drives_of_a_machine_take_turns_over_one_transfer() -> None:
    h1 = evacuated()
    other = Evacuating(drive="/farm/o2", since=T, plots=(plot(B, "/farm/o2", plot_id=B[-64:]),))
    h1 = h1.model_copy(
        update={
            "drives": (*h1.drives, drive(9, "/farm/o2", use=DriveUse.DRAINING)),
            "evacuations": (*h1.evacuations, other),
        }
    )
    assert len(round_of(h1, h2=[drive()] * 9).moves) == 1


def test_new_plots_of_plotters_come_first_for_room_and_for_the_machine_s_transfer() -> None:
    plotters = {"p1": keeper(plot("a"))}
    senders = {"p1": archiver(), "h1": archiver("h1")}
    decision = round_of(evacuated(), plotters=plotters, archivers=senders, h2=[drive(150)])
    assert ways(decision) == [("p1", "/dst1/a.plot", "h2")]
    both = {"h1": keeper(plot("a"), host="h1")}
    decision = round_of(evacuated(), plotters=both, h2=[drive()] * 9)
    assert ways(decision) == [("h1", "/dst1/a.plot", "h2")]


def test_while_the_machine_sends_a_plot_of_its_own_nothing_leaves_the_drive() -> None:
    transfer = Transfer(
        path="/dst1/a.plot", plot_id=None, size_bytes=1, harvester="h2", drive="/farm/1", started_at=T
    )
    busy = {"h1": archiver("h1", transfers=(transfer,))}
    assert ways(round_of(evacuated(), archivers=busy, h2=[drive()] * 9)) == []


def test_a_pause_of_archiving_holds_it_too() -> None:
    paused = {"h1": keeper(host="h1", archiving_paused=Hold())}
    assert why(round_of(evacuated(), plotters=paused, h2=[drive()])) == [
        ("archiving paused", OLD, "archiving is paused")
    ]


def test_its_own_harvester_s_copy_is_the_one_that_leaves() -> None:
    """The harvester has taken the plot in lately: that is the copy on the evacuated drive."""
    h1 = evacuated().model_copy(update={"taken_in": (A[-64:],)})
    assert ways(round_of(h1, h2=[drive()])) == [("h1", f"{OLD}/{A}.plot", "h2")]


def test_a_harvester_that_has_the_plot_gets_it_for_comparison() -> None:
    h1 = evacuated(drives=(drive(900, "/farm/1", device="8:2"),))
    there = farm(h2=[drive(1)])["h2"].model_copy(update={"taken_in": (A[-64:],)})
    decision = decided({}, {"h1": archiver("h1")}, {"h1": h1, "h2": there}, {}, {}, T)
    assert ways(decision) == [("h1", f"{OLD}/{A}.plot", "h2")]


def test_a_copy_on_another_drive_of_the_machine_is_compared_even_if_the_machine_is_full() -> None:
    h1 = evacuated(leaving(copied_to="h1"), drives=(drive(1, "/farm/1", device="8:2"),))
    assert ways(round_of(h1, h2=[drive()])) == [("h1", f"{OLD}/{A}.plot", "h1")]


def test_the_same_plot_on_its_way_from_a_plotter_keeps_it_waiting() -> None:
    plotters = {"p1": keeper(plot(A, plot_id=A[-64:]))}
    senders = {"p1": archiver(), "h1": archiver("h1")}
    decision = round_of(evacuated(), plotters=plotters, archivers=senders, h2=[drive()] * 9)
    assert ways(decision) == [("p1", f"/dst1/{A}.plot", "h2")]
    assert [rule for rule, _, _ in why(decision)] == ["same plot"]


def test_a_plot_that_failed_is_named_and_the_next_one_leaves() -> None:
    failed = move(f"{OLD}/{A}.plot", "h2", step=MoveStep.TRANSFER, attempts=2, reason="EIO", retry_at=at(30))
    decision = round_of(evacuated(leaving(A), leaving(B)), failed, h2=[drive()] * 9)
    assert ways(decision) == [("h1", f"{OLD}/{B}.plot", "h2")]
    assert why(decision) == [("retry", f"{OLD}/{A}.plot", "EIO")]


@pytest.mark.parametrize(
    ("given", "waits"),
    [
        ({}, True),
        ({"attempts": 2}, False),
        ({"step": MoveStep.ADMIT}, False),
        ({"retry_at": at(-1)}, False),
        ({"retry_at": at(3600)}, False),
        ({"path": f"/farm/other/{A}.plot"}, False),
    ],
)
def test_a_transfer_that_was_cut_once_is_resumed_before_the_next_plot_leaves(
    given: dict[str, Any], waits: bool
) -> None:
    cut = {
        "path": f"{OLD}/{A}.plot",
        "harvester": "h2",
        "step": MoveStep.TRANSFER,
        "attempts": 1,
        "retry_at": at(10),
    }
    decision = round_of(evacuated(leaving(B)), move(**{**cut, **given}), h2=[drive()] * 9)
    assert bool(decision.moves) is not waits


@pytest.mark.parametrize("state", [DirState.READ_ONLY, DirState.MISSING, DirState.HANGING])
def test_a_drive_that_cannot_be_written_is_left_alone(state: DirState) -> None:
    decision = round_of(evacuated(old={"state": state}), h2=[drive()])
    assert ways(decision) == []
    assert [(rule, subject) for rule, subject, _ in why(decision)] == [("evacuation", OLD)]


def test_a_path_elsewhere_is_no_plot_of_the_drive() -> None:
    assert ways(round_of(evacuated(plot(A, "/dst1")), h2=[drive()])) == []


def test_without_an_archiver_nothing_is_reserved() -> None:
    decision = round_of(evacuated(), archivers={}, h2=[drive()])
    assert decision.moves == ()
    assert [rule for rule, _, _ in why(decision)] == ["archiver"]


def test_a_target_of_the_machine_s_plotter_is_not_for_farmed_plots() -> None:
    nas = {"h1": archiver("h1", target=TargetReport(name="nas", place="nas"))}
    assert ways(round_of(evacuated(), archivers=nas, h2=[drive()])) == [("h1", f"{OLD}/{A}.plot", "h2")]


def test_a_harvester_that_cannot_be_evaluated_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("beat.policy.moves.evacuation.EvacuatedDrive.of", broken)
    plotters = {"p1": keeper(plot("a"))}
    decision = round_of(evacuated(), plotters=plotters, archivers={"p1": archiver()}, h2=[drive()])
    assert ways(decision) == [("p1", "/dst1/a.plot", "h2")]
    assert [rule for rule, _, _ in why(decision)] == ["trouble"]


@pytest.mark.parametrize(
    ("delivery", "evacuates"),
    [
        (None, False),
        ({}, False),
        ({"reservation": "x"}, False),
        ({"reservation": {"evacuates": 1}}, False),
        ({"reservation": {"evacuates": True}}, True),
    ],
)
def test_the_delivery_tells_who_releases(delivery: dict[str, Any] | None, evacuates: bool) -> None:
    assert AdmissionOrder("h1", move(delivery=delivery)).evacuates is evacuates


def test_room_is_counted_over_plotters_and_drives() -> None:
    """Moves of other hosts that have no part file yet take their room from the evacuated plot."""
    reserving = {"p1": [move("/dst1/b.plot", "h2", step=MoveStep.RESERVE)]}
    for free_gb, expected in ((2 * 109, [("h1", f"{OLD}/{A}.plot", "h2")]), (150, [])):
        there = farm(h2=[drive(free_gb)])["h2"].model_copy(update={"writers_per_drive": 3})
        board = {"h1": evacuated(), "h2": there}
        senders = {"p1": archiver(), "h1": archiver("h1")}
        decision = decided({"p1": keeper(plot("b"))}, senders, board, {}, reserving, T)
        assert ways(decision) == expected
