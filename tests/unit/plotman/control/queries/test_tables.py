"""What `status` and `dirs` show, from a farm as the notice board has it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from beat.policy.moves.priority import priorities
from common.model.pending import MoveStep, PendingMove
from common.model.phase import Phase
from common.model.snapshot import (
    DirState,
    Drive,
    DriveUse,
    Failures,
    FinishedPlot,
    HarvesterSnapshot,
    Hold,
    PlotState,
    Wait,
    Waits,
)
from common.names import Role
from plotman.cli.watch import status_text
from plotman.control.queries import reports, tables
from plotman.dashboard import panes
from tests.support.told import JOB, PLOT_ID, SILENT, T, farm, plotter


def cells(table: tables.PlainTable, row: int = 0) -> dict[str, str]:
    return dict(zip(table.columns, table.rows[row], strict=True))


def test_a_job_has_all_facts_of_0_5_3_and_host_percent_and_eta() -> None:
    shown = cells(tables.jobs_table(farm(plotter())))
    assert shown == {
        "plot id": "6b4e7375",
        "host": "plotter1",
        "plotter": "madmax",
        "k": "32",
        "tmp": "/mnt/tmp/00",
        "dst": "/mnt/dst/00",
        "elapsed": "1h 23m",
        "phase": "2:3",
        "%": "43",
        "ETA": "1h 23m",
        "tmp size": "120.5 GB",
        "pid": "4711",
        "process": "RUN",
        "memory": "4.0 GB",
        "CPU user": "1h 1m",
        "CPU sys": "0s",
        "I/O wait": "0s",
    }


def test_what_is_not_known_of_a_job_is_a_question_mark_and_never_a_number() -> None:
    shown = cells(tables.jobs_table(farm(plotter(jobs=(SILENT,)))))
    assert [shown[column] for column in ("k", "tmp", "phase", "%", "ETA")] == ["?", "?", "?:?", "?", "?"]


@pytest.mark.parametrize("leader", ["beat1", None], ids=["decided", "nobody decides"])
def test_a_drained_tmp_says_so_before_any_other_reason(leader: str | None) -> None:
    hold = Hold(reason="new cable", by="anna@desk", until=T + timedelta(hours=2))
    snapshot = plotter()
    drained = snapshot.tmp_dirs[0].model_copy(update={"drained": hold})
    waits = (Wait(host="plotter1", rule="max jobs", reason="max jobs 4/4"),)
    told = replace(
        farm(snapshot.model_copy(update={"tmp_dirs": (drained, *snapshot.tmp_dirs[1:])})),
        waits=Waits(beat="beat1", at=T - timedelta(hours=1), waits=waits),
        leader=leader,
    )
    until = (T + timedelta(hours=2, seconds=snapshot.utc_offset_s)).strftime("%H:%M")
    shown = cells(tables.tmp_table(told))
    assert shown["waits because"] == f"drained: new cable (anna@desk), until {until}"
    assert shown["ready"] == "--"
    row = panes.all_tables(told, None)["tmp"].rows[0]
    assert f"drained: new cable (anna@desk), until {until}" in [cell.text for cell in row.cells]


def test_a_transfer_shows_how_far_it_is_and_where_it_goes() -> None:
    shown = cells(tables.moves_table(farm(plotter())))
    assert (shown["%"], shown["rate"], shown["ETA"]) == ("50", "181.0 MB/s", "4m 58s")
    assert shown["to"] == "harvester1:/mnt/farm/07"


def test_files_that_are_left_alone_are_named_with_the_reason_and_ready_plots_are_not() -> None:
    plots = [
        FinishedPlot(path=f"/mnt/dst/00/{state}", size_bytes=5, state=state, since=T, reason=f"it is {state}")
        for state in PlotState
    ]
    shown = tables.plots_table(farm(plotter(plots=tuple(plots))))
    assert {row[3] for row in shown.rows} == {"open", "truncated", "foreign", "misnamed", "refused"}
    assert ("plotter1", "/mnt/dst/00/truncated", "5 B", "truncated", "it is truncated") in shown.rows


def test_a_tmp_dir_says_why_it_takes_nothing_and_one_that_could_is_ready() -> None:
    wait = Wait(
        host="plotter1", rule="tmp phase", reason="tmp phase: 1 of 1 job before 2:1", subject="/mnt/tmp/00"
    )
    rows = tables.tmp_table(farm(plotter(), (wait,))).rows
    assert rows == (
        ("plotter1", "/mnt/tmp/00", "busy", "1.0 TB", "2:3", "tmp phase: 1 of 1 job before 2:1"),
        ("plotter1", "/mnt/tmp/01", "OK", "1.0 TB", "", ""),
    )


def test_a_dst_dir_shows_its_archive_priority_by_the_rule_of_0_5_3() -> None:
    plot = FinishedPlot(path="/mnt/dst/00/x.plot", size_bytes=5, state=PlotState.READY, since=T)
    advanced = JOB.model_copy(update={"phase": Phase(3, 5)})
    shown = cells(tables.dst_table(farm(plotter(jobs=(advanced,), plots=(plot,)))))
    # 50, less 8 for a job at 3:5, plus 1 + 4 for 600 GB free, plus one plot
    assert (shown["plots"], shown["free"], shown["incoming"], shown["priority"]) == (
        "1",
        "600.0 GB",
        "3:5",
        "48",
    )


def test_the_shown_priority_is_the_one_that_beat_uses_and_counts_ready_plots_only() -> None:
    plots = tuple(
        FinishedPlot(path=f"/mnt/dst/00/{state}.plot", size_bytes=5, state=state, since=T)
        for state in PlotState
    )
    snapshot = plotter(plots=plots)
    shown = cells(tables.dst_table(farm(snapshot)))
    assert shown["plots"] == str(len(PlotState))
    assert int(shown["priority"]) == priorities(snapshot)["/mnt/dst/00"]
    assert shown["priority"] == cells(tables.dst_table(farm(plotter(plots=plots[:1]))))["priority"]


@pytest.mark.parametrize(
    ("make", "columns"),
    [
        (tables.jobs_table, {"wall", "stat", "mem", "user", "sys", "io"}),
        (tables.tmp_table, {"GBfree"}),
        (tables.dst_table, {"GBfree", "inbnd phases", "pri"}),
        (tables.drives_table, {"GBfree", "GBreserved"}),
    ],
)
def test_classic_tables_have_the_names_and_units_of_0_5_3(make: Any, columns: set[str]) -> None:
    classic, plain = make(farm(plotter()), classic=True), make(farm(plotter()))
    assert columns == set(classic.columns) - set(plain.columns)
    assert [len(classic.right), len(classic.spare)] == [len(plain.right), len(plain.spare)]
    if "GBfree" in columns:
        free = cells(classic)["GBfree"]
        assert free == f"{float(free):.1f}"


def test_a_drive_whose_room_is_unknown_says_its_state_in_the_place_of_a_number() -> None:
    shown = cells(tables.drives_table(farm(plotter())), 1)
    assert (shown["free"], shown["state"]) == ("not mounted", "not mounted")


def test_paths_can_be_shown_below_the_folder_that_they_share() -> None:
    table = tables.jobs_table(farm(plotter()))
    assert table.shared_folder() == "/mnt"
    assert cells(table.below("/mnt"))["tmp"] == "tmp/00"


@pytest.mark.parametrize(
    ("hold", "end"),
    [(Hold(reason="tour", by="anna@desk"), ": tour (anna@desk)"), (Hold(by="anna"), " (anna)"), (None, "")],
)
def test_a_note_names_the_pause_that_begins_after_some_plots(hold: Hold | None, end: str) -> None:
    draining = farm(plotter(starts_left=1, starts_hold=hold))
    assert f"plotter1: plotting pauses after 1 more plot{end}" in reports.notes(draining)


def test_notes_name_silent_hosts_pauses_stopped_plotting_and_stalls() -> None:
    stalled = JOB.model_copy(update={"stalled": "Retrying in five minutes."})
    failures = Failures(consecutive=3, last_at=T, last_reason="no keys today.")
    snapshot = plotter(jobs=(stalled,), plotting=False, pause_reason="new fans", failures=failures)
    silent = farm(snapshot, stale=frozenset({(Role.HARVESTER, "harvester1")}))
    said = "\n".join(reports.notes(silent))
    for part in (
        "harvester harvester1 is silent; last seen 0s ago",
        "plotter1: plotting is paused: new fans",
        "3 plotters in a row died at once, the last: no keys today.",
        "`plotman unpause plotting --host plotter1`",
        "pid 4711 is stalled: Retrying in five minutes.",
    ):
        assert part in said


def test_a_drive_that_an_operator_closed_is_drained_and_one_of_plotman_yaml_is_draining() -> None:
    drives = tuple(
        Drive(path=path, state=DirState.OK, use=DriveUse.DRAINING, drained=hold)
        for path, hold in (("/f/1", Hold()), ("/f/2", None))
    )
    harvester = HarvesterSnapshot(host="h1", at=T, drives=drives)
    seen = replace(farm(plotter()), harvesters={"h1": harvester}, archivers={})
    assert [row[-1] for row in tables.drives_table(seen).rows] == ["drained", "draining"]


def test_a_refused_plot_has_a_note_as_long_as_its_source_exists() -> None:
    plot = FinishedPlot(
        path=f"/mnt/dst/plot-k32-2026-11-22-11-00-{PLOT_ID}.plot", size_bytes=5,
        state=PlotState.REFUSED, since=T, plot_id=PLOT_ID, reason="h1 refused it: 12 of 30 proofs fail",
    )  # fmt: skip
    other = plot.model_copy(update={"path": "/mnt/dst/other.plot"})
    text = f"{PLOT_ID[:8]} in /mnt/dst was refused: h1 refused it: 12 of 30 proofs fail"
    assert reports.notes(farm(plotter(plots=(plot,)))) == [f"plotter1: {text}"]
    several = reports.notes(farm(plotter(plots=(plot, other))))
    assert several == [f"plotter1: 2 plots were refused, the first: {text}"]
    assert reports.notes(farm(plotter(plots=()))) == []
    assert reports.notes(farm(plotter(plots=(plot.model_copy(update={"state": PlotState.READY}),)))) == []


def test_a_board_without_any_worker_says_what_to_start() -> None:
    everything = farm(plotter())
    nobody = replace(everything, plotters={}, archivers={}, harvesters={}, waits=None, leader=None)
    assert reports.notes(nobody) == [reports.NOBODY_YET]
    assert reports.status_json(nobody)["notes"] == [reports.NOBODY_YET]
    assert reports.NOBODY_YET in status_text(nobody, 80)
    assert reports.NOBODY_YET not in reports.notes(everything)
    assert reports.NOBODY_YET not in reports.notes(replace(nobody, redis_trouble="Redis is full."))


def test_a_file_that_is_left_alone_is_not_listed_as_waiting_too() -> None:
    path = f"/mnt/dst/plot-k32-2026-11-22-11-00-{PLOT_ID}.plot"
    plot = FinishedPlot(
        path=path, size_bytes=5, state=PlotState.REFUSED, since=T, plot_id=PLOT_ID,
        reason=f"h1 refused it: {PLOT_ID}.part: 12 of 30 proofs fail",
    )  # fmt: skip
    waits = Waits(beat="b", at=T, waits=(
        Wait(host="plotter1", rule="refused", reason=plot.reason or "", subject=path),
        Wait(host="plotter1", rule="moves", reason=f"moves 1/1: {path} is sent", subject="/b"),
    ))  # fmt: skip
    everything = replace(farm(plotter(plots=(plot,))), waits=waits)
    assert [row[-1] for row in tables.plots_table(everything).rows] == [
        "h1 refused it: 6b4e7375….part: 12 of 30 proofs fail"
    ]
    assert tables.waits_table(everything).rows == (("plotter1", "/b", f"moves 1/1: {path} is sent"),)


def test_dirs_say_by_what_messages_and_plots_travel() -> None:
    everything = farm(plotter())
    for snapshots in (everything.plotters, everything.archivers, everything.harvesters):
        for host, snapshot in snapshots.items():
            snapshots[host] = snapshot.model_copy(update={"messages_tls": True})
    assert reports.transport_lines(everything) == ["Messages: by TLS"]
    known = everything.harvesters["harvester1"]
    everything.harvesters["harvester1"] = known.model_copy(update={"plots_tls": False, "messages_tls": False})
    assert reports.transport_lines(everything) == [
        "Messages: by TLS (plotter1); without TLS (harvester1)",
        "Plots to harvesters: without TLS",
    ]
    (row,) = (row for row in reports.dirs_json(everything)["transport"] if row["role"] == "harvester")
    assert row == {"host": "harvester1", "role": "harvester", "messages_tls": False, "plots_tls": False}
    alone = replace(everything, plotters={}, archivers={})
    assert reports.transport_lines(alone) == [], "one machine uses no network"


def test_a_worker_that_was_stopped_in_order_is_not_called_silent() -> None:
    everything = farm(
        plotter(), stale=frozenset({(Role.HARVESTER, "harvester1"), (Role.PLOTTER, "plotter1")})
    )
    for snapshots in (everything.plotters, everything.harvesters):
        for host, snapshot in snapshots.items():
            snapshots[host] = snapshot.model_copy(update={"stopped": True})
    said = reports.notes(everything)
    assert "harvester harvester1 was stopped 0s ago" in said
    assert "plotter plotter1 was stopped 0s ago" in said
    assert all("silent" not in note for note in said)
    assert {row[-1] for row in tables.tmp_table(everything).rows} == {"its plotter is stopped"}
    assert {row[-1] for row in tables.drives_table(everything).rows} == {"stopped"}


def test_a_plot_on_its_way_of_which_nothing_is_sent_just_now_says_where_it_is() -> None:
    path = f"/mnt/dst/plot-k32-2026-11-22-11-00-{PLOT_ID}.plot"
    move = PendingMove(
        path=path,
        harvester="harvester1",
        size_bytes=108,
        step=MoveStep.ADMIT,
        expires_at=T + timedelta(minutes=1),
    )
    on_the_way = replace(farm(plotter()), archivers={}, moves={("plotter1", path): move})
    assert tables.moves_table(on_the_way).rows == (
        ("6b4e7375", "plotter1", "harvester1", "", "is checked", ""),
    )
    assert reports.status_json(on_the_way)["moves"] == [
        {
            "host": "plotter1",
            "path": path,
            "harvester": "harvester1",
            "size_bytes": 108,
            "step": "admit",
            "attempts": 0,
            "task_id": None,
        }
    ]


def test_the_json_of_status_has_its_documented_keys() -> None:
    shown = reports.status_json(farm(plotter()))
    assert set(shown) == {
        "version",
        "updated",
        "total_jobs",
        "jobs",
        "transfers",
        "moves",
        "plots",
        "waits",
        "notes",
    }
    job = shown["jobs"][0]
    assert (job["host"], job["phase"], job["time_wall_s"], job["tmp_to_come_bytes"]) == (
        "plotter1",
        "2:3",
        4980,
        0,
    )
    assert shown["transfers"][0]["rate_bytes_s"] == 181e6


def test_directories_and_drives_of_a_silent_host_do_not_look_alive() -> None:
    drive = Drive(path="/farm/1", state=DirState.OK, free_bytes=5 * 10**12)
    host = HarvesterSnapshot(host="h1", at=T, drives=(drive,))
    alive = replace(farm(plotter()), harvesters={"h1": host})
    silent = replace(alive, stale=frozenset({(Role.PLOTTER, "plotter1"), (Role.HARVESTER, "h1")}))
    assert cells(tables.drives_table(alive))["state"] == "active"
    assert cells(tables.drives_table(silent))["state"] == "silent"
    shown = cells(tables.tmp_table(silent))
    assert (shown["ready"], shown["waits because"]) == ("--", "its plotter is silent")
    for found, expected in ((alive, False), (silent, True)):
        listed = reports.dirs_json(found)
        assert {row["silent"] for kind in ("tmp", "dst", "drives") for row in listed[kind]} == {expected}


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (DirState.OK, "3"),
        (DirState.READ_ONLY, "3"),
        (DirState.MISSING, "?"),
        (DirState.NOT_MOUNTED, "?"),
        (DirState.HANGING, "?"),
        (DirState.UNKNOWN, "?"),
    ],
)
def test_plots_of_a_drive_that_cannot_be_read_are_not_known(state: DirState, shown: str) -> None:
    drive = Drive(path="/farm/1", state=state, plots=3)
    seen = replace(farm(plotter()), harvesters={"h1": HarvesterSnapshot(host="h1", at=T, drives=(drive,))})
    assert cells(tables.drives_table(seen))["plots"] == shown
