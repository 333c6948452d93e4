"""A part that is made ready for another try, or given up."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harvester_worker.drives import part_files
from harvester_worker.drives.part_files import Part, PartRecord
from harvester_worker.intake import resume
from harvester_worker.intake.resume import arrived, tries_in_vain

ID = "0f" * 32
SIZE = 4 * resume.CUT_BYTES
RECORD = PartRecord(
    plot_id=ID,
    name=f"{ID}.plot",
    size_bytes=SIZE,
    source_host="h",
    path="/d/p",
    reserved_at=datetime(2026, 11, 22, 16, 0, tzinfo=UTC),
)


class Drive:
    """A drive with one part. `grow` and `write` are what a try does to it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = str(folder), part_files.part_path(str(folder), ID)
        part_files.prepare(self.folder)
        self.path.touch()
        part_files.write_record(self.path, RECORD)

    @property
    def part(self) -> Part:
        [found] = part_files.parts(self.folder)
        return found

    def resume(self) -> bool:
        return resume.resume(self.folder, self.part, RECORD)

    def grow(self, to_bytes: int) -> None:
        with self.path.open("r+b") as file:
            file.truncate(to_bytes)

    def write(self) -> None:
        """As a try whose writes fail: the kernel notes its time first."""
        written_ns = self.path.stat().st_mtime_ns + 1_000_000
        os.utime(self.path, ns=(written_ns, written_ns))


@pytest.fixture
def drive(tmp_path: Path) -> Drive:
    return Drive(tmp_path)


@pytest.mark.parametrize(
    ("begun", "left_ns", "vain", "length", "written_ns", "expected"),
    [
        (0, None, 0, 0, 5, 0),  # the first try
        (0, None, 0, 100, 5, 0),
        (100, 5, 0, 100, 5, 0),  # nobody came so far as to write: the network was down
        (100, 5, 1, 100, 5, 1),
        (100, 5, 0, 100, 6, 1),
        (100, 5, 1, 100, 6, 2),
        (100, 5, 1, 101, 6, 0),  # it gets on
        (SIZE, 5, 0, SIZE, 6, 1),  # its end was cut off, and written again
    ],
)
def test_a_try_is_in_vain_that_writes_and_leaves_the_part_no_longer(
    begun: int, left_ns: int | None, vain: int, length: int, written_ns: int, expected: int
) -> None:
    record = RECORD.model_copy(update={"begun_bytes": begun, "left_ns": left_ns, "vain": vain})

    assert tries_in_vain(Part(Path("/x"), record, length, 0, 0, written_ns)) == expected


def test_tries_in_vain_are_counted_beside_the_part_until_it_grows(drive: Drive) -> None:
    drive.grow(SIZE // 2)
    counts = []
    for _ in range(3):
        assert drive.resume()
        counts.append(tries_in_vain(drive.part))
        drive.write()
    assert counts == [0, 1, 2]

    drive.grow(SIZE // 2 + 1)

    assert tries_in_vain(drive.part) == 0


def test_a_plot_whose_checks_are_cut_off_again_and_again_stays_on_its_drive(drive: Drive) -> None:
    for _ in range(5):
        drive.grow(SIZE)  # the end was cut off, and is sent
        drive.write()
        assert tries_in_vain(drive.part) < resume.VAIN_MAX
        arrived(drive.path)
        assert drive.resume()


@pytest.mark.parametrize(("room", "kept"), [(0, True), (-1, False)])
def test_without_allocation_a_part_is_deleted_if_the_rest_does_not_fit(
    drive: Drive, monkeypatch: pytest.MonkeyPatch, room: int, kept: bool
) -> None:
    drive.grow(SIZE // 4)
    monkeypatch.setattr(resume, "allocate", lambda fd, size_bytes: False)
    monkeypatch.setattr(resume, "_free_bytes", lambda fd: SIZE - SIZE // 4 + room)

    assert drive.resume() is kept
    assert drive.path.exists() is kept
