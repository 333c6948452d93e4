"""Parts are allocated, cut, renamed and deleted under the lock of their drive, and flushed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from common.errors import PlotRefused
from harvester_worker.drives import part_files
from harvester_worker.intake import admit, reserve, resume
from tests.unit.harvester_worker.intake.builders import SIZE, Harvester


class Lock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.held: set[str] = set()
        self.seen: list[set[str]] = []
        self._locked = part_files.locked
        monkeypatch.setattr(part_files, "locked", self.locked)

    @contextlib.contextmanager
    def locked(self, drive: str) -> Iterator[Path]:
        with self._locked(drive) as incoming:
            self.held.add(drive)
            try:
                yield incoming
            finally:
                self.held.remove(drive)

    def watch(self, module: Any, name: str) -> None:
        """Note which drives are locked when this function is called."""
        works = getattr(module, name)

        def noted(*arguments: Any) -> object:
            self.seen.append(set(self.held))
            return works(*arguments)

        self._monkeypatch.setattr(module, name, noted)


@pytest.fixture
def lock(monkeypatch: pytest.MonkeyPatch) -> Lock:
    return Lock(monkeypatch)


def reserving(harvester: Harvester) -> None:
    harvester.reserve()


def resuming(harvester: Harvester) -> None:
    harvester.reserve()
    harvester.reserve()


def admitting(harvester: Harvester) -> None:
    harvester.admitter.admit(harvester.receive())


def refusing(harvester: Harvester) -> None:
    with pytest.raises(PlotRefused):
        harvester.admitter.admit(harvester.receive(bytes(SIZE)))


def giving_up(harvester: Harvester) -> None:
    harvester.reserve()
    resume.give_up(str(harvester.one), harvester.part)


@pytest.mark.parametrize(
    ("act", "module", "name"),
    [
        (reserving, reserve, "allocate"),
        (resuming, resume, "allocate"),
        (admitting, admit, "rename_new"),
        (refusing, part_files, "drop"),
        (giving_up, part_files, "drop"),
    ],
)
def test_the_drive_is_locked_while_its_parts_change(
    harvester: Harvester, lock: Lock, act: Callable[[Harvester], None], module: Any, name: str
) -> None:
    lock.watch(module, name)
    act(harvester)
    assert lock.seen == [{str(harvester.one)}]
    assert lock.held == set()


@pytest.mark.parametrize("act", [reserving, resuming])
def test_what_is_allocated_is_flushed(
    harvester: Harvester, act: Callable[[Harvester], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = []
    fsync = os.fsync

    def noted(fd: int) -> None:
        flushed.append(os.fstat(fd).st_ino)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", noted)
    act(harvester)
    assert flushed.count(harvester.part.stat().st_ino) == (1 if act is reserving else 2)
