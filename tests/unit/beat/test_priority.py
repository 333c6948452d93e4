"""Which dst directory is emptied first: the sums of plotman 0.5.3."""

from __future__ import annotations

import pytest

from beat.policy.priority import archive_priority
from tests.unit.beat.builders import GB

ROWS = [
    # free, furthest incoming phase, plots lying there; priority
    (None, None, 0, 50),
    (None, None, 3, 53),
    (2000 * GB, None, 1, 51),
    (1000 * GB, None, 1, 51),
    (999 * GB, None, 1, 52),
    (901 * GB, None, 1, 52),
    (900 * GB, None, 1, 53),
    (500 * GB, None, 1, 57),
    (499 * GB, None, 1, 51 + 6 + 1),
    (0, None, 1, 51 + 11 + 6),
    (None, (3, 3), 1, 51),
    (None, (3, 4), 1, 47),
    (None, (3, 5), 1, 43),
    (None, (3, 6), 1, 35),
    (None, (3, 7), 1, 19),
    (None, (4, 0), 1, 19),
    (0, (4, 0), 12, 50 - 32 + 11 + 6 + 12),
]


@pytest.mark.parametrize(("free_bytes", "furthest", "plots", "priority"), ROWS)
def test_priority_of_a_dst_directory(
    free_bytes: int | None, furthest: tuple[int, int] | None, plots: int, priority: int
) -> None:
    assert archive_priority(free_bytes, furthest, plots) == priority
