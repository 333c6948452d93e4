"""Which drive takes a plot, and why the others do not."""

from __future__ import annotations

import pytest

from common.snapshot import DirState
from harvester_worker.choose import Candidate, Refusal, choose_drive, why_not

GB = 10**9


def drive(
    path: str = "/a", state: DirState = DirState.OK, room: int | None = 500 * GB, writers: int = 0
) -> Candidate:
    return Candidate(path, state, room, writers)


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
    ],
)
def test_a_drive_says_why_it_does_not_take_a_plot(candidate: Candidate, reason: str | None) -> None:
    assert why_not(candidate, 109 * GB, GB, 1) == reason


def test_the_first_drive_that_can_takes_it() -> None:
    drives = [drive("/a", room=GB), drive("/b", writers=2), drive("/c", writers=1), drive("/d")]

    assert choose_drive(drives, 109 * GB, GB, 2) == drives[2]


def test_a_refusal_names_every_drive_with_its_reason() -> None:
    refusal = choose_drive([drive("/a", room=GB), drive("/b", DirState.HANGING, None)], 109 * GB, 0, 1)

    assert isinstance(refusal, Refusal)
    assert str(refusal) == "/a: room 1.0 GB, needs 109.0 GB and 0 B margin; /b: hanging"


def test_a_host_without_drives_says_so() -> None:
    assert str(choose_drive([], 1, 0, 1)) == "no drives are configured"
