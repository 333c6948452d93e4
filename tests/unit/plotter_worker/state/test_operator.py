"""What persons said to a plotter host, kept through restarts."""

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
    return OperatorStateFile(folder).now


def test_a_pause_holds_until_its_time_and_says_who_why_and_when(tmp_path: Path) -> None:
    OperatorStateFile(tmp_path).hold(holds.PLOTTING, Hold(reason="noise", by="anna@desk", until=LATER))
    assert again(tmp_path).pause_reason(NOW, 3600) == "noise (anna@desk), until 19:00"
    assert again(tmp_path).pause_reason(LATER) is None
    assert again(tmp_path).plotting_held(LATER) is None


def test_a_pause_after_so_many_plots_works_when_they_have_started(tmp_path: Path) -> None:
    said = OperatorStateFile(tmp_path)
    said.hold(holds.PLOTTING, Hold(by="anna@desk"), after=1)
    assert said.now.plotting_held(NOW) is None
    said.started(NOW)
    assert again(tmp_path).plotting_held(NOW) is not None
    reason = again(tmp_path).pause_reason(NOW)
    assert reason == "as many plots as were asked for have been started (anna@desk)"
    said.unpause()
    assert again(tmp_path).plotting_held(NOW) is None
    said.started(NOW)
    assert again(tmp_path).plotting_held(NOW) is None


def test_a_drained_host_stays_drained_though_plotting_is_unpaused(tmp_path: Path) -> None:
    said = OperatorStateFile(tmp_path)
    said.hold(holds.ALL, Hold(reason="moving house"))
    said.pause("noise")
    said.unpause()
    assert again(tmp_path).pause_reason(NOW) == "it is drained: moving house"
    said.let_go(holds.ALL)
    assert again(tmp_path).pause_reason(NOW) is None


def test_directories_and_archiving_are_held_apart_from_plotting(tmp_path: Path) -> None:
    said = OperatorStateFile(tmp_path)
    said.hold("/tmp1", Hold(until=LATER))
    said.hold(holds.ARCHIVING, Hold())
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
    said = OperatorStateFile(tmp_path)
    said.died_at_once("no keys", NOW - timedelta(minutes=1))
    said.died_at_once("no keys", NOW)
    said.works(started_at)
    assert again(tmp_path).failures.consecutive == left
