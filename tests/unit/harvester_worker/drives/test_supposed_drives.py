"""Folders that a pattern like /mnt/*/plots stands for: found out by a look at each, in its own time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.model.snapshot import DriveUse
from common.system.probe import DirReport, Probe
from harvester_worker.drives import registry, survey
from harvester_worker.drives.registry import DriveRegistry
from tests.support.waiting import eventually


class Bay:
    """Folders a, b and c, each of which may be a drive."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.probe = folder, Probe()
        self.released = threading.Event()
        self.hanging: set[str] = set()
        self.disabled: set[str] = set()
        look = survey.look

        def slow(path: str, *more: Any) -> DirReport:
            if Path(path).name in self.hanging:
                self.released.wait(60)
            return look(path, *more)

        monkeypatch.setattr(survey, "look", slow)
        monkeypatch.setattr(registry, "LOOK_S", 0.2)
        self.drives = DriveRegistry(
            lambda: [str(folder / name) for name in "abc"],
            True,
            self.probe,
            lambda path: DriveUse.DISABLED if Path(path).name in self.disabled else DriveUse.ACTIVE,
            is_sure=lambda _: False,
        )

    def words(self) -> dict[str, str]:
        self.drives.refresh()
        return {Path(drive.path).name: drive.word for drive in self.drives.published()}


@pytest.fixture
def bay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bay]:
    made = Bay(tmp_path, monkeypatch)
    yield made
    made.released.set()
    made.probe.close()


def test_a_path_that_never_existed_is_not_shown_and_a_drive_that_disappeared_is_missing(bay: Bay) -> None:
    (bay.folder / "a").mkdir()
    assert bay.words() == {"a": "active"}

    (bay.folder / "b").mkdir()
    assert bay.words() == {"a": "active", "b": "active"}

    (bay.folder / "a").rmdir()
    assert bay.words() == {"a": "missing", "b": "active"}
    assert bay.words() == {"a": "missing", "b": "active"}


def test_drives_are_in_the_order_of_the_configuration_not_of_their_answers(bay: Bay) -> None:
    for name in "cab":
        (bay.folder / name).mkdir()
        bay.drives.refresh()

    assert [Path(path).name for path in bay.drives.paths()] == ["a", "b", "c"]


def test_one_that_hangs_from_the_start_is_shown_and_hides_no_other(bay: Bay) -> None:
    (bay.folder / "b").mkdir()
    bay.hanging.add("a")
    assert bay.words() == {"a": "hanging", "b": "active"}

    bay.hanging.clear()
    bay.released.set()  # and there is none after all

    eventually(lambda: bay.words() == {"b": "active"}, "it is not shown any more")


def test_one_that_hung_and_came_back_is_seen_missing_later(bay: Bay) -> None:
    (bay.folder / "a").mkdir()
    bay.hanging.add("a")
    assert bay.words() == {"a": "hanging"}
    bay.released.set()
    eventually(lambda: bay.words() == {"a": "active"}, "it answers")

    (bay.folder / "a").rmdir()

    assert bay.words() == {"a": "missing"}


def test_a_disabled_drive_is_shown_without_a_survey(bay: Bay) -> None:
    bay.disabled.add("c")

    assert bay.words() == {"c": "disabled"}
