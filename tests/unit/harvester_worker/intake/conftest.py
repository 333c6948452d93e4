"""A harvester of two folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.harvester_worker.intake.builders import Harvester


@pytest.fixture
def harvester(tmp_path: Path) -> Iterator[Harvester]:
    made = Harvester(tmp_path)
    yield made
    made.close()
