"""What needs a hand, and what is as it should be."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from beat.policy.remedies import Harm
from common.model.snapshot import ArchiverSnapshot, FinishedPlot, PlotState, Wait
from common.names import Role
from plotman.control.farm import FarmState
from plotman.control.queries.attention import calm_lines, needs
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
    assert needs(silent) == []


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
