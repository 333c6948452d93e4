"""Which dst directory is emptied first, by the sums of plotman 0.5.3; and in which order its plots leave."""

from __future__ import annotations

import math
import random

import pytest

from beat.policy.moves.priority import archive_priority, by_priority
from tests.unit.beat.builders import GB, at, directory, job, keeper, plot

ROWS = [
    # free, furthest incoming phase, plots lying there; priority
    (None, None, 0, 50),
    (None, None, 3, 53),
    (2000 * GB, None, 1, 51),
    (1000 * GB, None, 1, 51),
    (999 * GB, None, 1, 52),
    (901 * GB, None, 1, 52),
    (900 * GB + 1, None, 1, 52),
    (900 * GB, None, 1, 53),
    (400 * GB + GB // 2, None, 1, 51 + 6 + 1),
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


def as_0_5_3(free_bytes: int, furthest: tuple[int, int] | None, plots: int) -> int:
    """0.5.3's sum in its own terms: a quotient in GB, cut only after the hundreds are taken."""
    gigabytes = free_bytes / 1_000_000_000
    nearly_full = sum(math.trunc((limit - gigabytes) / 100) + 1 for limit in (500, 1000) if gigabytes < limit)
    if furthest is None or furthest < (3, 4):
        about_to_be_written = 0
    else:
        about_to_be_written = {(3, 4): 4, (3, 5): 8, (3, 6): 16}.get(furthest, 32)
    return 50 + plots + nearly_full - about_to_be_written


def test_4000_random_directories_have_the_priority_of_0_5_3() -> None:
    random_ = random.Random(53)
    phases = [None, *((major, minor) for major in range(6) for minor in range(8 if major < 5 else 3))]
    differing = []
    for _ in range(4000):
        # Every other one near the hundreds, where one GB less decides.
        near = random_.randint(0, 12) * 100 * GB + random_.randint(-2 * GB, 2 * GB)
        free_bytes = max(0, random_.choice([near, random_.randint(0, 1500 * GB)]))
        case = free_bytes, random_.choice(phases), random_.randint(0, 40)
        if archive_priority(*case) != as_0_5_3(*case):
            differing.append(case)
    assert differing == []


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
