"""Which dst directory is emptied first, by the sums of plotman 0.5.3; and in which order its plots leave."""

from __future__ import annotations

import pytest

from beat.policy.archiving import by_priority
from beat.policy.priority import archive_priority
from tests.unit.beat.builders import GB, at, directory, job, keeper, plot

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


def test_the_fullest_dst_directory_is_emptied_first_its_oldest_plot_before_the_others() -> None:
    snapshot = keeper(
        plot("a", "/dst1", since=at(-99)),
        plot("b", "/dst2", since=at(-10)),
        plot("c", "/dst2", since=at(-20)),
        dst_dirs=(directory("/dst1", 2000), directory("/dst2/", 100)),
    )
    assert [each.path for each in by_priority(snapshot)] == ["/dst2/c.plot", "/dst2/b.plot", "/dst1/a.plot"]


def test_a_dst_directory_that_a_plot_is_about_to_be_copied_to_is_left_alone() -> None:
    plots = (plot("a", "/dst1", since=at(-99)), plot("b", "/dst2"))
    assert by_priority(keeper(*plots))[0].path == "/dst1/a.plot"
    busy = keeper(*plots, jobs=(job(phase="1:1"), job(phase="4:1", dst="/dst1/"), job(phase=None)))
    assert by_priority(busy)[0].path == "/dst2/b.plot"
