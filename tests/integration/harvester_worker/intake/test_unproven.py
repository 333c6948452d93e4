"""A harvester that is to prove plots, on a machine that cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from common import config
from common.names import Role
from common.store import Board
from harvester_worker.service import Harvester
from tests.support.libraries import with_library, without_library
from tests.support.waiting import eventually

SETTINGS = """\
version: [2]
farm: {{host: h1, state: {folder}/state, broker: "{broker}"}}
harvester: {{drives: ["{folder}/drive"], plain_folders: true, receiver_port: 0, proofs: {proofs}}}
"""


@pytest.mark.parametrize(("library", "version"), [("chiapos", "2.0.12"), ("chia_rs", "0.53.0")])
def test_a_missing_library_is_a_problem_until_it_is_installed_or_proofs_are_off(
    tmp_path: Path, broker_url: str, board: Board, monkeypatch: pytest.MonkeyPatch, library: str, version: str
) -> None:
    file = tmp_path / "plotman.yaml"
    monkeypatch.setenv("PLOTMAN_CONFIG", str(file))
    (tmp_path / "drive").mkdir()

    def write(proofs: int) -> None:
        file.write_text(SETTINGS.format(folder=tmp_path, broker=broker_url, proofs=proofs))

    def told() -> list[str]:
        (snapshot,) = board.snapshots(Role.HARVESTER).values()
        return [problem for problem in snapshot.problems if library in problem]

    def told_now() -> list[str]:
        harvester.publish_now()
        return told()

    without_library(library, monkeypatch)
    write(proofs=30)
    harvester = Harvester(config.load(file), board)
    harvester.start()
    try:
        (problem,) = told_now()
        assert problem.startswith(f"harvester.proofs needs {library}")
        assert "pip install 'plotman[proofs]'" in problem
        assert "proofs: 0" in problem
        with_library(library, version, tmp_path / "lib", monkeypatch)
        assert told_now() == [], "it was installed meanwhile"
        without_library(library, monkeypatch)
        assert told_now()
        write(proofs=0)
        eventually(lambda: not told(), "header and size are all that is asked for")
    finally:
        harvester.stop()
