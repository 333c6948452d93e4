"""Operators' orders to a plotter host, kept through restarts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from common.model import holds
from common.model.snapshot import Hold
from plotter_worker.state.operator import OperatorState, OperatorStateFile

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=6)


def again(folder: Path) -> OperatorState:
    """As the next worker reads it."""
    return OperatorStateFile(folder).state


def test_a_pause_expires_and_its_reason_names_author_and_end(tmp_path: Path) -> None:
    hold = Hold(reason="noise", by="anna@desk", until=LATER)
    OperatorStateFile(tmp_path).change(lambda state: state.with_hold(holds.PLOTTING, hold))
    assert again(tmp_path).pause_reason(NOW, 3600) == "noise (anna@desk), until 19:00"
    assert again(tmp_path).pause_reason(LATER) is None
    assert again(tmp_path).plotting_held(LATER) is None


def test_a_pause_after_a_number_of_plots_takes_effect_when_they_have_started(tmp_path: Path) -> None:
    file = OperatorStateFile(tmp_path)
    pause = Hold(by="anna@desk", until=LATER)
    file.change(lambda state: state.with_hold(holds.PLOTTING, pause, after=1))
    assert file.state.plotting_held(NOW) is None
    assert file.state.coming_pause(NOW) == pause
    assert file.state.coming_pause(LATER) is None
    file.change(lambda state: state.after_start(NOW, "t1"))
    assert file.state.coming_pause(NOW) is None
    assert again(tmp_path).plotting_held(NOW) is not None
    reason = again(tmp_path).pause_reason(NOW)
    assert reason == "as many plots as were asked for have been started (anna@desk), until 18:00"
    file.change(lambda state: state.unpaused())
    assert again(tmp_path).plotting_held(NOW) is None
    file.change(lambda state: state.after_start(NOW, "t1"))
    assert again(tmp_path).plotting_held(NOW) is None


def test_a_drained_host_stays_drained_though_plotting_is_unpaused(tmp_path: Path) -> None:
    file = OperatorStateFile(tmp_path)
    file.change(lambda state: state.with_hold(holds.ALL, Hold(reason="moving house")))
    file.change(lambda state: state.with_hold(holds.PLOTTING, Hold(reason="noise")))
    file.change(lambda state: state.unpaused())
    assert again(tmp_path).pause_reason(NOW) == "the host is drained: moving house"
    file.change(lambda state: state.without_holds(holds.ALL))
    assert again(tmp_path).pause_reason(NOW) is None


def test_directories_and_archiving_are_held_apart_from_plotting(tmp_path: Path) -> None:
    file = OperatorStateFile(tmp_path)
    file.change(lambda state: state.with_hold("/tmp1", Hold(until=LATER)))
    file.change(lambda state: state.with_hold(holds.ARCHIVING, Hold()))
    now = again(tmp_path)
    assert now.plotting_held(NOW) is None
    assert now.held("/tmp1", NOW)
    assert now.held("/tmp1", LATER) is None
    assert now.held("/tmp2", NOW) is None
    assert now.held(holds.ARCHIVING, NOW)
    assert holds.over(now.holds, LATER) == {"/tmp1"}


@pytest.mark.parametrize(
    ("started_at", "left"),
    [
        (NOW - timedelta(hours=5), 2),
        (NOW, 2),
        (NOW + timedelta(seconds=1), 0),
    ],
    ids=["hours before the last death", "beside it", "after it"],
)
def test_plotters_that_died_at_once_are_forgotten_for_one_that_works_and_was_started_later(
    tmp_path: Path, started_at: datetime, left: int
) -> None:
    file = OperatorStateFile(tmp_path)
    file.change(lambda state: state.after_failure("no keys", NOW - timedelta(minutes=1)))
    file.change(lambda state: state.after_failure("no keys", NOW))
    file.change(lambda state: state.after_success(started_at))
    assert again(tmp_path).failures.consecutive == left


@pytest.mark.parametrize("ahead", [timedelta(hours=2), timedelta(days=1)])
def test_times_of_a_clock_that_was_set_back_count_as_now(ahead: timedelta) -> None:
    state = OperatorState().after_failure("no keys", NOW).after_start(NOW, "t1")
    corrected = state.not_after(NOW - ahead)
    assert corrected.last_start_at == corrected.failures.last_at == NOW - ahead
    assert (corrected.failures.consecutive, corrected.failures.last_reason) == (1, "no keys")
    assert state.not_after(NOW - timedelta(seconds=1)) is state
    assert state.not_after(NOW + ahead) is state


def test_a_start_counts_once_and_those_that_an_older_plotman_counted_not_again() -> None:
    state = OperatorState().pausing_after(3)
    once = state.after_start(NOW, "t1")
    assert once.starts_left == once.after_start(LATER, "t1").starts_left == 2
    assert once.with_counted(["t2"]).after_start(LATER, "t2").starts_left == 1
    older = state.with_counted(["t1", "t2"])
    assert older.after_start(NOW, "t2").starts_left == 3
    assert older.after_start(NOW, "t3").after_start(NOW - timedelta(hours=1), "t4").last_start_at == NOW
