from __future__ import annotations

import pytest

from common.model.snapshot import DirState, DiskHealth, Drive
from common.system import smart
from harvester_worker.drives.disk_health import DisksHealth

WELL = DiskHealth(names=("sda",), model="MAKER", fails=False, temperature_c=38)
FAILS = WELL.model_copy(update={"fails": True})


class Watched:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, *drives: Drive) -> None:
        self.drives = drives
        self.says: dict[str, DiskHealth | None] = {}
        self.asked: list[str] = []
        self.changes = 0
        self.health = DisksHealth(lambda: self.drives, self.changed)
        monkeypatch.setattr(smart, "smartctl", lambda: "/usr/sbin/smartctl")
        monkeypatch.setattr(smart, "disks_below", lambda device: tuple(device.split("+")))
        monkeypatch.setattr(smart, "ask", self.answer)

    def changed(self) -> None:
        self.changes += 1

    def answer(self, program: str, name: str, deadline_s: float) -> DiskHealth | None:
        self.asked.append(name)
        return self.says.get(name)


def drive(path: str, device: str | None, state: DirState = DirState.OK) -> Drive:
    return Drive(path=path, state=state, device=device)


def test_drives_have_the_health_of_their_disk_and_changes_are_published(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = Watched(monkeypatch, drive("/1", "8:1"), drive("/2", "8:1"), drive("/3", "8:17"))
    watched.says["8:1"] = WELL
    watched.health.look()
    assert [each.disk for each in watched.health.added_to(watched.drives)] == [WELL, WELL, None]
    assert watched.asked == ["8:1", "8:17"], "a disk is asked once"
    watched.health.look()
    assert watched.changes == 1


def test_a_disk_that_sleeps_keeps_what_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, drive("/1", "8:1"))
    watched.says["8:1"] = WELL
    watched.health.look()
    watched.says.clear()
    watched.health.look()
    assert [each.disk for each in watched.health.added_to(watched.drives)] == [WELL]


def test_a_disk_of_a_raid_that_sleeps_hides_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, drive("/1", "a+b"))
    watched.says |= {"a": FAILS, "b": WELL}
    watched.health.look()
    del watched.says["a"]
    watched.health.look()
    assert [one.disk.fails for one in watched.health.added_to(watched.drives) if one.disk] == [True]


def test_a_disk_that_is_silent_for_long_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, drive("/1", "8:1"))
    watched.says["8:1"] = WELL
    watched.health.look()
    watched.says.clear()
    for _ in range(25):
        watched.health.look()
    assert [each.disk for each in watched.health.added_to(watched.drives)] == [None]


def test_a_drive_that_does_not_answer_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, drive("/1", "8:1", DirState.HANGING), drive("/2", None))
    watched.health.look()
    assert watched.asked == []


def test_a_disk_that_expects_to_fail_is_a_problem_of_its_drive(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, drive("/1", "8:1"), drive("/2", "8:17"))
    watched.says |= {"8:1": WELL, "8:17": FAILS}
    watched.health.look()
    (problem,) = watched.health.problems()
    assert problem == "the disk of /2 (sda, MAKER) says that it is about to fail: evacuate the drive"
