"""What needs a hand, and what is as it should be."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import click
import pytest

from beat.policy.remedies import Harm
from common.model.snapshot import (
    ArchiverSnapshot,
    Directory,
    Evacuating,
    Failures,
    FinishedPlot,
    Hold,
    PlotState,
    RunStatus,
    Wait,
)
from common.names import Role
from plotman.cli.watch import status_text
from plotman.control.farm import FarmState
from plotman.control.queries import reports
from plotman.control.queries.attention import Need, attention, calm_lines, needs
from tests.support.told import JOB, PLOT_ID, T, farm, plotter

HOST = "plotter1"
STAGGER = Wait(host=HOST, rule="stagger", reason="stagger 1784s/1800s", until=T + timedelta(seconds=16))
FULL = Wait(host=HOST, rule="max jobs", reason="max jobs 1/1", numbers={"jobs": 1, "limit": 1})
FAILED = Wait(host=HOST, rule="failures", reason="3 died", until=STAGGER.until)


def decided(*waits: Wait, **fields: object) -> FarmState:
    return replace(farm(plotter(**fields), waits), leader="beat1")


def plotting(seen: FarmState) -> str:
    return next(line for line in calm_lines(seen) if line.startswith("Plotting"))


@pytest.mark.parametrize(
    ("waits", "line"),
    [
        ((), "Plotting: 1 of 2 running, next start now"),
        ((STAGGER,), "Plotting: 1 of 2 running, next start in 16s"),
        ((FULL,), "Plotting: 1 of 2 running, next start in 1h 23m"),
        ((FULL, STAGGER), "Plotting: 1 of 2 running, next start in 1h 23m"),
        ((FAILED,), "Plotting: 1 of 2 running"),
        (
            (Wait(host=HOST, rule="farm max jobs", reason="", numbers={"jobs": 1, "limit": 1}),),
            "Plotting: 1 of 1 running",
        ),
    ],
    ids=["nothing waits", "stagger", "full", "full and stagger", "failures", "farm limit"],
)  # fmt: skip
def test_the_next_start_is_told_if_it_needs_nobody(waits: tuple[Wait, ...], line: str) -> None:
    assert plotting(decided(*waits)) == line


def test_a_host_whose_slots_are_taken_starts_none_before_a_plot_ends_whatever_its_stagger() -> None:
    assert plotting(decided(STAGGER, global_max_jobs=1)) == "Plotting: 1 of 1 running, next start in 1h 23m"


def test_one_free_tmp_directory_is_enough_and_a_drained_one_does_not_count() -> None:
    wait = Wait(host=HOST, rule="tmp phase", reason="tmp phase: 1 of 1", subject="/mnt/tmp/00")
    assert plotting(decided(wait)).endswith("next start now")
    both = (wait, wait.model_copy(update={"rule": "tmp state", "subject": "/mnt/tmp/01"}))
    assert plotting(decided(*both)) == "Plotting: 1 of 2 running"


def test_without_a_scheduler_no_start_is_promised() -> None:
    late = farm(plotter(), (STAGGER,))
    assert late.waits is not None
    waits = late.waits.model_copy(update={"at": T - timedelta(hours=1)})
    assert plotting(replace(late, waits=waits)) == "Plotting: 1 of 2 running"


def test_paused_plotting_and_plots_beyond_the_limit_are_said() -> None:
    assert plotting(decided(plotting=False)) == "Plotting: 1 of 2 running, no more are started"
    jobs = tuple(JOB.model_copy(update={"task_id": f"t{number}"}) for number in range(3))
    assert plotting(decided(STAGGER, jobs=jobs)).startswith("Plotting: 3 running (limit: 2)")


def test_of_plots_those_that_move_and_those_that_wait_are_counted() -> None:
    ready = FinishedPlot(path="/mnt/dst/00/y.plot", size_bytes=5, state=PlotState.READY, since=T)
    seen = decided(plots=(ready,), archiving=True)
    assert "Archiving: 1 of 2 moving at 181.0 MB/s" in calm_lines(seen)
    still = replace(seen, archivers={HOST: ArchiverSnapshot(host=HOST, at=T)})
    assert "Archiving: 0 of 1 moving" in calm_lines(still)


def test_drives_that_take_plots_are_counted_and_a_lost_one_needs_a_hand() -> None:
    seen = decided()
    assert "Drives: 1 of 2 take plots, 2.0 TB free" in calm_lines(seen)
    (need,) = needs(seen)
    assert (need.place, need.reason) == ("harvester1:/mnt/farm/08", "not mounted")
    silent = replace(seen, stale=frozenset({(Role.HARVESTER, "harvester1")}))
    assert [need.text for need in needs(silent)] == ["harvester harvester1 is silent; last seen 0s ago"]


def test_the_most_harmful_comes_first_and_plots_that_wait_for_one_thing_are_one_line() -> None:
    paths = [f"/mnt/dst/00/plot-k32-2026-11-22-11-00-{number}{PLOT_ID[1:]}.plot" for number in range(3)]
    retries = [Wait(host=HOST, rule="retry", reason="connection refused", subject=path) for path in paths]
    lost = Wait(host=HOST, rule="tmp state", reason="tmp is missing", subject="/mnt/tmp/01")
    held = Wait(host=HOST, rule="paused", reason="paused")
    found = [need for need in needs(decided(*retries, held, lost, STAGGER)) if need.place.startswith(HOST)]
    assert [(need.harm, need.place) for need in found] == [
        (Harm.STOPS, "plotter1:/mnt/tmp/01"),
        (Harm.FILE, "plotter1: 3 plots, the first 0b4e7375"),
    ]
    assert all(need.remedy for need in found)


def test_files_that_are_left_alone_need_a_hand_and_one_that_is_being_written_does_not() -> None:
    plots = tuple(
        FinishedPlot(path=f"/mnt/dst/00/{state}", size_bytes=5, state=state, since=T) for state in PlotState
    )
    found = [need.place for need in needs(decided(plots=plots)) if need.place.startswith(HOST)]
    assert found == [f"plotter1: {state} in /mnt/dst/00" for state in ("foreign", "misnamed", "truncated")]


def test_the_name_that_a_misnamed_plot_should_have_can_be_pasted() -> None:
    right, wrong = (f"plot-k32-2026-11-22-11-00-{digit * 64}.plot" for digit in "ab")
    reason = f"this is plot aaaaaaaa under another name; it should be called {right}"
    plot = FinishedPlot(
        path=f"/mnt/dst/00/{wrong}", size_bytes=5, state=PlotState.MISNAMED, since=T, reason=reason
    )
    need = about(decided(plots=(plot,)), "should be called")
    assert need.text == f"plotter1: {wrong} in /mnt/dst/00: {reason}"
    assert "`mv`" in need.remedy


def test_a_pause_and_a_drain_of_one_host_are_two_notes_with_a_cure_each() -> None:
    pause, drain = Hold(by="root@vm"), Hold(by="anna@desk")
    seen = decided(plotting=False, pause_reason="paused (root@vm)", paused=pause, drained=drain)
    assert about(seen, "paused").remedy == "`plotman unpause plotting --host plotter1` ends the pause."
    assert about(seen, "drained").remedy == "`plotman undrain plotter1` allows plots there again."
    only = decided(plotting=False, pause_reason="the host is drained", paused=drain, drained=drain)
    assert about(only, "drained").remedy == "`plotman undrain plotter1` allows plots there again."


def test_paused_archiving_is_said_in_its_line() -> None:
    ready = FinishedPlot(path="/mnt/dst/00/y.plot", size_bytes=5, state=PlotState.READY, since=T)
    hold = Hold(by="root@vm")
    paused = decided(plots=(ready,), archiving=True, archiving_paused=hold)
    assert "Archiving: 1 of 2 moving at 181.0 MB/s, paused" in calm_lines(paused)
    still = replace(paused, archivers={}, plotters={HOST: plotter(archiving=True, archiving_paused=hold)})
    assert "Archiving: nothing to move, paused" in calm_lines(still)
    other = plotter(host="p2", archiving=True)
    assert "Archiving: nothing to move, paused on plotter1" in calm_lines(
        replace(still, plotters={**still.plotters, "p2": other})
    )


def test_where_plotman_does_not_run_nothing_is_said_to_be_paused() -> None:
    here = "plotman is not running here"
    off = decided(plotting=False, pause_reason=here)
    assert "starts none" not in {
        note.rule for note in reports.noted(replace(off, not_running_here=f"{here}; x"))
    }
    assert "starts none" in {note.rule for note in reports.noted(off)}


def test_the_plots_of_a_stopped_worker_continue_only_if_it_has_some() -> None:
    seen = decided()
    stopped = {
        role: {host: snapshot.model_copy(update={"stopped": True}) for host, snapshot in hosts.items()}
        for role, hosts in seen.snapshots.items()
    }
    off = replace(
        seen, plotters=stopped[Role.PLOTTER], harvesters=stopped[Role.HARVESTER],
        stale=frozenset({(Role.PLOTTER, HOST), (Role.HARVESTER, "harvester1")}),
    )  # fmt: skip
    assert about(off, "harvester harvester1 was stopped").remedy.endswith("`systemctl start plotman`).")
    assert about(off, "plotter plotter1 was stopped").remedy.endswith("Its plots continue meanwhile.")


SUSPENDED = JOB.model_copy(update={"status": RunStatus.STOPPED})
STALLED = JOB.model_copy(update={"stalled": "waits for space in /mnt/dst/00"})


def about(seen: FarmState, word: str) -> Need:
    (found,) = (need for need in attention(seen) if word in need.text)
    return found


@pytest.mark.parametrize(
    ("fields", "word", "command"),
    [
        (
            {"jobs": (SUSPENDED,)},
            "plot 6b4e7375 in /mnt/tmp/00 is suspended",
            "plotman resume 6b4e7375 --host",
        ),
        ({"plotting": False, "paused": Hold(reason="fan")}, "paused", "plotman unpause plotting --host"),
        (
            {"plotting": False, "pause_reason": "drained", "paused": Hold(), "drained": Hold()},
            "drained",
            "plotman undrain plotter1`",
        ),
        ({"starts_left": 1}, "pauses after 1 more plot", "plotman unpause plotting --host"),
        ({"archiving_paused": Hold()}, "archiving is paused", "plotman unpause archiving --host"),
        (
            {"tmp2": Directory(path="/mnt/tmp2", drained=Hold(reason="cable"))},
            "/mnt/tmp2 is drained: cable",
            "plotman undrain plotter1:/mnt/tmp2`",
        ),
    ],
    ids=["suspend", "pause", "drain", "pause after plots", "archiving", "directory"],
)
def test_what_an_operator_asked_for_is_listed_last_with_how_to_end_it_and_is_no_need(
    fields: dict[str, object], word: str, command: str
) -> None:
    seen = decided(**fields)
    need = about(seen, word)
    assert need.harm is Harm.WANTED
    assert f"`{command}" in need.remedy
    assert need not in needs(seen)
    assert attention(seen)[-1] == need
    title, _, listed = status_text(seen, None).partition("Asked for by operators")
    assert need.text in listed
    assert need.text not in title


def test_a_worker_that_was_stopped_in_order_and_an_evacuation_are_asked_for() -> None:
    seen = decided()
    evacuated = Evacuating(
        drive="/mnt/farm/07", since=T, total_plots=2, total_bytes=9, left_plots=1, left_bytes=5
    )
    harvester = seen.harvesters["harvester1"].model_copy(
        update={"stopped": True, "evacuations": (evacuated,)}
    )
    seen = replace(
        seen, harvesters={"harvester1": harvester}, stale=frozenset({(Role.HARVESTER, "harvester1")})
    )
    assert about(seen, "was stopped").harm is Harm.WANTED
    assert "`plotman evacuate harvester1:/mnt/farm/07 --stop`" in about(seen, "evacuating").remedy
    assert needs(seen) == []


@pytest.mark.parametrize(
    ("seen", "word", "command"),
    [
        (decided(jobs=(STALLED,)), "is stalled", "plotman kill 6b4e7375 --host plotter1"),
        (
            replace(decided(), stale=frozenset({(Role.PLOTTER, HOST)})),
            "is silent",
            "systemctl status plotman",
        ),
        (replace(decided(), spoilt={HOST: "a key cannot be read"}), "a key cannot be read", ""),
    ],
    ids=["stalled", "silent", "spoilt"],
)
def test_what_is_wrong_with_a_host_or_a_plot_needs_a_hand_and_says_what_to_do(
    seen: FarmState, word: str, command: str
) -> None:
    need = about(seen, word)
    assert need in needs(seen)
    assert need.remedy
    assert command in need.remedy


def test_a_plot_that_its_plotter_suspended_says_how_to_go_on_after_the_cause_is_removed() -> None:
    job = STALLED.model_copy(update={"status": RunStatus.STOPPED, "stalled": "suspended by p1: no space"})
    need = about(decided(jobs=(job,)), "no space")
    assert need.harm is Harm.FILE
    assert "`plotman resume 6b4e7375 --host plotter1`" in need.remedy


def test_what_a_note_and_a_wait_tell_of_a_host_is_listed_once() -> None:
    seen = decided(FAILED, failures=Failures(consecutive=3, last_reason="no keys."))
    assert "no keys." in about(seen, "died").text


@pytest.mark.parametrize("left_plots", [None, 1], ids=["unreadable", "under way"])
def test_a_drive_whose_evacuation_stops_is_listed_once_and_progress_hides_no_stop(
    left_plots: int | None,
) -> None:
    drive = "/mnt/farm/07"
    reason = f"{drive} cannot be read and written now, and its evacuation waits"
    seen = decided(Wait(host="harvester1", rule="evacuation", reason=reason, subject=drive))
    entry = Evacuating(drive=drive, since=T, total_plots=2, total_bytes=9)
    entry = entry.model_copy(update={"left_plots": left_plots, "left_bytes": left_plots})
    harvester = seen.harvesters["harvester1"].model_copy(update={"evacuations": (entry,)})
    seen = replace(seen, harvesters={"harvester1": harvester})
    assert about(replace(seen, waits=None), "evacuating")
    (stop,) = (need for need in needs(seen) if drive in need.text)
    assert stop.harm is Harm.STOPS
    assert "cannot be read" in stop.text


def test_a_host_that_is_paused_hides_no_wait_of_another_place() -> None:
    lost = Wait(host=HOST, rule="tmp state", reason="tmp is missing", subject="/mnt/tmp/01")
    assert about(decided(FAILED, lost, failures=Failures(consecutive=3)), "tmp is missing")


def test_what_is_wrong_with_the_farm_comes_first() -> None:
    seen = replace(decided(), redis_trouble="Redis is full.")
    assert attention(seen)[0].text == "Redis is full."
    assert click.unstyle(status_text(seen, None)).startswith("! Redis is full.")


def test_a_hosts_name_in_a_command_is_one_word() -> None:
    odd = "p;rm -r ~"
    seen = replace(decided(), plotters={odd: decided(jobs=(SUSPENDED,)).plotters[HOST]})
    seen.plotters[odd] = seen.plotters[odd].model_copy(update={"host": odd})
    assert "--host 'p;rm -r ~'`" in about(seen, "suspended").remedy
