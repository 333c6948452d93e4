"""Which drive takes a plot, and why the others do not."""

from __future__ import annotations

from typing import Any

import pytest

from common.config.sections.farm import Placement
from common.model.snapshot import DirState, DriveUse
from harvester_worker.drives.placement import Candidate, Refusal, choose_drive, why_not

GB = 10**9


def drive(
    path: str = "/a",
    state: DirState = DirState.OK,
    room: int | None = 500 * GB,
    writers: int = 0,
    **fields: Any,
) -> Candidate:
    return Candidate(path, state, room, writers, **fields)


@pytest.mark.parametrize("placement", Placement)
def test_a_drive_that_fails_takes_a_plot_only_where_no_other_does(placement: Placement) -> None:
    failing = drive("/a", room=900 * GB, failing=True)
    busier = drive("/b", writers=1, last_used_s=9, plots=9)
    assert choose_drive([failing, busier], 109 * GB, GB, 2, placement) == busier
    assert choose_drive([failing, busier], 109 * GB, GB, 1, placement) == failing


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        (drive(), None),
        (drive(room=110 * GB), None),
        (drive(room=110 * GB - 1), "room 110.0 GB, needs 109.0 GB and 1.0 GB margin"),
        (drive(room=0), "room 0 B, needs 109.0 GB and 1.0 GB margin"),
        (drive(room=None), "free space unknown"),
        (drive(writers=1), "plots on their way 1/1"),
        (drive(state=DirState.HANGING, room=None), "hanging"),
        (drive(state=DirState.NOT_MOUNTED, room=None), "not mounted"),
        (drive(state=DirState.READ_ONLY), "read-only"),
        (drive(state=DirState.UNKNOWN, room=None), "unknown"),
        (drive(use=DriveUse.DRAINING), "draining"),
        (drive(state=DirState.UNKNOWN, room=None, use=DriveUse.DISABLED), "disabled"),
    ],
)
def test_a_drive_says_why_it_does_not_take_a_plot(candidate: Candidate, reason: str | None) -> None:
    assert why_not(candidate, 109 * GB, GB, 1) == reason


FILL, MOST_FREE, ROUND_ROBIN = Placement
TAKERS = [
    # placement; room in GB, last used, plots, writers of /a, /b, /c; who takes it
    (FILL, (200, 3, 5, 0), (900, 1, 0, 0), (900, 0, 0, 0), "/a"),
    (FILL, (100, 3, 5, 0), (200, 1, 0, 0), (900, 0, 0, 0), "/b"),  # /a is full
    (FILL, (200, 3, 5, 1), (200, 1, 0, 0), (900, 0, 0, 0), "/b"),  # nobody writes there
    (FILL, (200, 3, 5, 1), (200, 1, 0, 1), (900, 0, 0, 1), "/a"),
    (MOST_FREE, (200, 3, 5, 0), (800, 1, 0, 0), (900, 0, 0, 0), "/c"),
    (MOST_FREE, (200, 3, 5, 0), (800, 1, 0, 0), (900, 0, 0, 1), "/b"),
    (MOST_FREE, (200, 3, 5, 0), (900, 1, 0, 0), (900, 0, 0, 0), "/b"),  # equals: as configured
    (ROUND_ROBIN, (200, 3, 0, 0), (200, 2, 9, 0), (900, 4, 0, 0), "/b"),  # used the longest ago
    (ROUND_ROBIN, (200, 3, 0, 0), (200, 2, 9, 1), (900, 4, 0, 0), "/a"),
    (ROUND_ROBIN, (200, 3, 0, 0), (200, 2, 9, 0), (900, 0, 0, 0), "/c"),  # never used
    (ROUND_ROBIN, (200, 0, 7, 0), (200, 0, 6, 0), (900, 0, 6, 0), "/b"),  # then the one with the fewest plots
    (ROUND_ROBIN, (100, 0, 0, 0), (109, 0, 0, 0), (110, 9, 9, 0), "/c"),  # nobody else has the room
]  # fmt: skip


@pytest.mark.parametrize(("placement", "one", "two", "three", "taker"), TAKERS)
def test_of_the_drives_with_the_fewest_writers_the_placement_names_one(
    placement: Placement, one: tuple[int, ...], two: tuple[int, ...], three: tuple[int, ...], taker: str
) -> None:
    drives = [
        drive(path, room=room_gb * GB, last_used_s=used_s, plots=plots, writers=writers)
        for path, (room_gb, used_s, plots, writers) in zip(("/a", "/b", "/c"), (one, two, three), strict=True)
    ]

    chosen = choose_drive(drives, 109 * GB, GB, 2, placement)

    assert isinstance(chosen, Candidate)
    assert chosen.path == taker


def test_a_refusal_names_every_drive_with_its_reason() -> None:
    refusal = choose_drive([drive("/a", room=GB), drive("/b", DirState.HANGING, None)], 109 * GB, 0, 1)

    assert isinstance(refusal, Refusal)
    assert str(refusal) == "/a: room 1.0 GB, needs 109.0 GB and 0 B margin; /b: hanging"


def test_a_host_without_drives_says_so() -> None:
    assert str(choose_drive([], 1, 0, 1)) == "no drives are configured"
