"""What an archiver tells the farm, and how soon."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.config.loader import load
from common.model.pending import MoveStep
from common.store import Board
from common.worker.move_step import Step
from plotter_worker.archiving.archiver import Archiver

HERE, THERE = "plotter1", "harvester1"


@pytest.fixture
def archiver(board: Board, tmp_path: Path) -> Iterator[Archiver]:
    config = tmp_path / "plotman.yaml"
    config.write_text(
        f"version: [2]\nfarm: {{host: {HERE}, state: {tmp_path / 'state'}}}\n"
        f"logging: {{plots: {tmp_path / 'logs'}}}\n"
        f"directories: {{tmp: [{tmp_path / 'tmp'}], dst: [{tmp_path / 'dst'}]}}\n"
        "scheduling: {tmpdir_stagger_phase_major: 2, tmpdir_stagger_phase_minor: 1, tmpdir_max_jobs: 1,"
        " global_max_jobs: 1, global_stagger_m: 0, polling_time_s: 20}\n"
        "plotting: {type: chiapos, pool_pk: aa, farmer_pk: bb}\narchiving: {}\n",
        encoding="utf-8",
    )
    made = Archiver(load(config), board)
    made.start()
    yield made
    made.stop()


def _sent(path: str) -> Step:
    return Step(
        step=MoveStep.TRANSFER,
        plotter=HERE,
        harvester=THERE,
        path=path,
        size_bytes=1,
        host=HERE,
        task_id=None,
        plot_id=None,
        next=MoveStep.ADMIT,
    )


def test_the_board_has_each_sent_plot_at_once(board: Board, archiver: Archiver) -> None:
    heard, took_s = board.last_event_id(), []
    for number in range(4):
        began_s = time.monotonic()
        archiver.moves.hand_over(_sent(f"/dst/{number}"), {})
        (event_id, event), *_ = board.events(heard, wait_s=5)
        took_s.append(time.monotonic() - began_s)
        assert (event.kind, event.host) == ("sent", HERE)
        heard = event_id

    # On a busy machine one may take longer; a pause between two would hold up three of the four.
    assert sorted(took_s)[1] < 0.5, f"until then no harvester is told to take the plot in: {took_s}"
