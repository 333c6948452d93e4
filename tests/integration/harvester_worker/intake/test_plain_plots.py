"""A harvester to which plots of other machines come without TLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from common import config
from common.store import Board
from harvester_worker.intake.reserve import ReserveOrder
from harvester_worker.service import Harvester
from tests.support.plots import write_plot

SETTINGS = """\
version: [2]
farm: {{host: h1, state: {folder}/state, broker: "{broker}"}}
harvester: {{drives: ["{folder}/drive"], plain_folders: true, receiver_port: 0, receiver_address: 127.0.0.1,
  proofs: 0{tls}}}
"""


@pytest.mark.parametrize(("tls", "warns"), [("", True), (", receiver_tls: false", False)])
def test_it_says_so_once_the_farm_has_another_machine_unless_the_owner_chose_it(
    tmp_path: Path, broker_url: str, board: Board, tls: str, warns: bool
) -> None:
    file = tmp_path / "plotman.yaml"
    for folder in ("drive", "dst"):
        (tmp_path / folder).mkdir()
    file.write_text(SETTINGS.format(folder=tmp_path, broker=broker_url, tls=tls), encoding="utf-8")
    source = write_plot(tmp_path / "dst", 3_000_000)
    harvester = Harvester(config.load(file), board)
    harvester.start()
    try:
        assert harvester._snapshot().problems == ()
        harvester.intake.reserve(
            ReserveOrder(host="h1", source_host="p1", path=str(source), size_bytes=3_000_000, move="one")
        )
        found = harvester._snapshot().problems
        assert len(found) == warns
        if warns:
            assert found[0].startswith("harvester.receiver_tls is off, since farm.broker has no TLS")
    finally:
        harvester.stop()
