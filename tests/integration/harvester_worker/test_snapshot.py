"""What a harvester says of the plots that it has, or that arrive: other plotters' copies of them wait."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from common.config.loader import load
from common.model.messages import Delivery
from common.store import Board
from common.worker.digests import read_digest
from common.worker.move_step import never
from harvester_worker.drives import part_files
from harvester_worker.intake.reserve import ReserveOrder
from harvester_worker.service import Harvester
from tests.support.plots import write_plot


@pytest.fixture
def harvester(tmp_path: Path, board: Board) -> Iterator[Harvester]:
    (tmp_path / "drive").mkdir()
    (tmp_path / "dst").mkdir()
    config = tmp_path / "plotman.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "version": [2],
                "farm": {"host": "h1", "state": str(tmp_path / "state"), "broker": "redis://127.0.0.1:1/0"},
                "harvester": {
                    "drives": [str(tmp_path / "drive")],
                    "plain_folders": True,
                    "margin_bytes": 0,
                    "proofs": 0,
                    "receiver_address": "127.0.0.1",
                    "receiver_port": 0,
                },
            }
        ),
        encoding="utf-8",
    )
    made = Harvester(load(config), board)
    made.start()
    yield made
    made.stop()


def test_what_arrives_or_was_taken_in_is_in_the_snapshot(harvester: Harvester, tmp_path: Path) -> None:
    source = write_plot(tmp_path / "dst", 3_000_000)
    plot_id = source.stem.rpartition("-")[2]
    order = ReserveOrder(host="h1", source_host="p1", path=str(source), size_bytes=3_000_000, door=False)

    assert (harvester._snapshot().arriving, harvester._snapshot().taken_in) == ({}, ())
    reservation = harvester.intake.reserve(order)
    part = Path(reservation.part or "")
    assert harvester._snapshot().arriving == {plot_id: "p1"}, "a transfer takes a moment to begin"
    record = part_files.record_of(part)
    assert record is not None
    long_ago = record.reserved_at.replace(year=2020)
    part_files.write_record(part, record.model_copy(update={"reserved_at": long_ago}))
    harvester.drives.refresh()
    assert harvester._snapshot().arriving == {}, "nothing came"

    part.write_bytes(source.read_bytes())
    harvester.drives.refresh()
    assert harvester._snapshot().arriving == {plot_id: "p1"}
    idle_s = time.time() - part_files.IDLE_S - 60
    os.utime(part, (idle_s, idle_s))
    harvester.drives.refresh()
    assert harvester._snapshot().arriving == {}
    with harvester.intake._locks.taking_in(plot_id):
        assert harvester._snapshot().arriving == {plot_id: "p1"}, "checks may take hours"

    delivery = Delivery(reservation=reservation, digest=read_digest(source, never))
    harvester.intake.admit(delivery, never)
    assert (harvester._snapshot().arriving, harvester._snapshot().taken_in) == ({}, (plot_id,))
