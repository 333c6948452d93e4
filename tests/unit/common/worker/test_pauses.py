"""How long a step that failed waits for its next try."""

from __future__ import annotations

import pytest

from common.model.pending import MoveStep
from common.worker.move_step import pause_s


@pytest.mark.parametrize(
    ("kind", "attempts", "seconds"),
    [
        (MoveStep.TRANSFER, 1, 10),
        (MoveStep.TRANSFER, 4, 270),
        (MoveStep.TRANSFER, 7, 3600),
        (MoveStep.TRANSFER, 5000, 3600),
        (MoveStep.RESERVE, 0, 30),
        (MoveStep.RESERVE, 9, 30),
    ],
)
def test_pauses_grow_up_to_a_limit(kind: MoveStep, attempts: int, seconds: float) -> None:
    assert pause_s(kind, attempts) == seconds
