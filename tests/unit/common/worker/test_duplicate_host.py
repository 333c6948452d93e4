"""When another plotman of our name is reported, and when it is only the one before us."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.system import machine
from common.worker.duplicate_host import DuplicateHost, mark

US, CLONE, NEIGHBOUR = "boot1 8:1", "boot2 8:1", "boot1 8:2"
OLD_RELEASE = "1"


def told(seen: dict[float, str | None], at_s: float) -> str | None:
    """seen: second -> whose mark stood there when we renewed ours."""
    namesake = DuplicateHost(US)
    for second, stood in seen.items():
        namesake.saw(stood, second)
    return namesake.problem("p1", at_s)


@pytest.mark.parametrize(
    ("seen", "at_s"),
    [
        ({0: None, 10: US, 20: US}, 20),  # alone
        ({0: US, 10: US}, 10),  # started again
        ({0: CLONE, 10: US, 20: US, 30: US}, 30),  # after a reboot
        ({0: OLD_RELEASE, 10: US, 20: US, 30: US}, 30),  # after an upgrade
        (
            {0: NEIGHBOUR, 1: NEIGHBOUR, 12: NEIGHBOUR, 22: US, 32: US},
            32,
        ),  # one that took long to go
        ({0: CLONE, 10: US, 60: CLONE, 70: US, 120: CLONE}, 120),  # each but once
    ],
)
def test_one_that_makes_way_for_us_is_not_told(seen: dict[float, str | None], at_s: float) -> None:
    assert all(told({s: m for s, m in seen.items() if s <= second}, second) is None for second in seen)
    assert told(seen, at_s) is None


@pytest.mark.parametrize(
    ("other", "who"),
    [
        (CLONE, "Another machine"),
        (NEIGHBOUR, "Another plotman on this machine"),
        (OLD_RELEASE, "Another machine"),
    ],
)
def test_one_that_goes_on_renewing_its_mark_is_told_however_often_we_renew_ours(other: str, who: str) -> None:
    idle: dict[float, str | None] = {0: other, 10: other, 20: other}
    busy: dict[float, str | None] = {second: US if second % 10 else other for second in range(21)}
    for seen in (idle, busy):
        problem = told(seen, 20)
        assert problem is not None
        assert problem.startswith(f"{who} also calls itself p1")
        assert problem.endswith("Give each its own farm.host.")


def test_it_is_over_when_the_other_has_not_been_seen_for_three_renewals() -> None:
    seen: dict[float, str | None] = {0: CLONE, 10: CLONE, 20: CLONE, 30: US, 40: US}
    assert told(seen, 50) is not None
    assert told(seen, 51) is None
    assert told(seen | {60: CLONE}, 60) is None, "one that comes again is told when it stays"


def test_machines_and_state_folders_have_marks_of_their_own_and_restarts_leave_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, missing = tmp_path / "one", tmp_path / "other", tmp_path / "missing"
    one.mkdir()
    other.mkdir()
    (tmp_path / "link").symlink_to(one)
    ours = mark(one)
    assert ours == mark(one) == mark(tmp_path / "link")
    assert mark(missing) == mark(missing)
    assert len({ours, mark(other), mark(missing)}) == 3
    monkeypatch.setattr(machine, "boot_id", lambda: "another")
    assert mark(one) != ours
