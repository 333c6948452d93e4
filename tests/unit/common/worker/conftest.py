"""A heartbeat of moves over a board in memory."""

from __future__ import annotations

import pytest

from common.model.snapshot import Event
from common.worker.move_step import MoveHeartbeat
from tests.unit.common.worker.builders import FakeBoard


@pytest.fixture
def board() -> FakeBoard:
    return FakeBoard()


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def heartbeat(board: FakeBoard, told: list[Event]) -> MoveHeartbeat:
    return MoveHeartbeat(board, told.append)  # type: ignore[arg-type]
