"""Directories and jobs for tests of a kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from plotter_worker.host import kill as killing
from tests.unit.plotter_worker.builders import Machine


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setattr(killing, "_SEEN_S", 0.0)  # no watcher sees the end here
    made = Machine(tmp_path / "tmp", tmp_path / "dst")
    made.tmp.mkdir()
    made.dst.mkdir()
    yield made
    for child in made.children:
        child.kill()
        child.wait()
