"""A part that is made ready for another try, or given up."""

from __future__ import annotations

import errno
import logging
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.errors import TransferFailed
from harvester_worker.drives import digests, part_files
from harvester_worker.drives.part_files import Part, PartRecord
from harvester_worker.drives.plot_index import PlotIndex
from harvester_worker.intake import resume
from harvester_worker.intake.resume import arrived, tries_in_vain
from tests.unit.harvester_worker.intake.builders import Harvester

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


def test_a_part_that_is_still_written_is_neither_cut_nor_deleted(drive: Drive) -> None:
    drive.grow(SIZE)
    with drive.path.open("r+b"):
        with pytest.raises(TransferFailed, match="still being written"):
            drive.resume()
        resume.give_up(drive.folder, drive.path)
        assert drive.part.length_bytes == SIZE
    resume.give_up(drive.folder, drive.path)
    assert not drive.path.exists()


def test_a_part_that_cannot_be_deleted_now_is_given_up_later(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(part_files, "drop", fails)
    resume.give_up(drive.folder, drive.path)


@pytest.mark.parametrize("record", [None, RECORD.model_copy(update={"size_bytes": SIZE + 1})])
def test_a_part_of_another_plot_or_of_none_is_deleted(drive: Drive, record: PartRecord | None) -> None:
    if record is None:
        drive.path.with_suffix(part_files.RECORD).unlink()
    else:
        part_files.write_record(drive.path, record)
    assert drive.resume() is False
    assert list(part_files.folder(drive.folder).glob(f"{ID}*")) == []


@pytest.mark.parametrize(
    ("size_bytes", "length_bytes", "left_bytes"),
    [
        (SIZE, SIZE, SIZE - resume.CUT_BYTES),
        (SIZE, SIZE + 1, SIZE - resume.CUT_BYTES),
        (SIZE, SIZE - 1, SIZE - 1),
        (1000, 1000, 0),
    ],
)
def test_a_part_that_looks_full_loses_its_end(
    drive: Drive, size_bytes: int, length_bytes: int, left_bytes: int
) -> None:
    """rsync would skip it, whatever its bytes are."""
    record = RECORD.model_copy(update={"size_bytes": size_bytes})
    part_files.write_record(drive.path, record)
    drive.grow(length_bytes)
    assert resume.resume(drive.folder, drive.part, record)
    assert drive.part.length_bytes == left_bytes
    assert drive.part.to_come_bytes == 0, "the rest is allocated again"


@pytest.mark.parametrize(
    ("length_bytes", "resumed", "boot", "expected"),
    [
        (0, False, "before", (False, "now")),
        (1, False, "before", (True, "before")),
        (0, True, "before", (True, "before")),
    ],
)
def test_bytes_of_an_earlier_run_are_remembered_with_its_boot(
    drive: Drive, length_bytes: int, resumed: bool, boot: str, expected: tuple[bool, str]
) -> None:
    part_files.write_record(drive.path, RECORD.model_copy(update={"resumed": resumed, "boot": boot}))
    drive.grow(length_bytes)
    assert resume.resume(drive.folder, drive.part, RECORD.model_copy(update={"boot": "now"}))
    record = drive.part.record
    assert record is not None
    assert (record.resumed, record.boot) == expected


def test_a_part_on_a_drive_that_fails_is_deleted(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> bool:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(resume, "allocate", fails)
    with pytest.raises(OSError, match="Input/output"):
        drive.resume()
    assert not drive.path.exists()
    drive.path.touch()
    part_files.write_record(drive.path, RECORD)
    with monkeypatch.context() as broken:
        broken.setattr(part_files, "drop", lambda _: (_ for _ in ()).throw(OSError(errno.EROFS, "read-only")))
        with pytest.raises(OSError, match="Input/output"):
            drive.resume()


def test_a_count_that_cannot_be_reset_stops_no_admission(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    part_files.write_record(drive.path, RECORD.model_copy(update={"begun_bytes": 1, "vain": 1}))
    monkeypatch.setattr(part_files, "write_record", fails)
    arrived(drive.path)


def test_a_part_without_a_record_has_no_tries_in_vain(drive: Drive) -> None:
    drive.path.with_suffix(part_files.RECORD).unlink()
    assert tries_in_vain(drive.part) == 0
    arrived(drive.path)
    assert drive.part.record is None


def test_a_part_is_deleted_only_once_its_plot_was_taken_in_on_another_usable_drive(
    harvester: Harvester,
) -> None:
    harvester.reserve()
    name, plot_id, two = harvester.source.name, harvester.plot_id, str(harvester.two)
    index = PlotIndex()

    def stays() -> bool:
        resume.drop_superseded(harvester.drives, index, harvester.drives.refresh())
        return harvester.part.exists()

    assert stays(), "it is on its way"
    index.put(plot_id, str(harvester.one))
    assert stays(), "it is being admitted"
    index.put(plot_id, "/farm/sold")
    assert stays(), "nobody can look"
    index.put(plot_id, two)
    assert stays(), "the other drive does not have it"
    (harvester.two / name).write_bytes(harvester.source.read_bytes())
    assert stays(), "others put it there"
    part_files.prepare(two)
    digests.write(two, name, digests.DigestEntry.of(harvester.two / name, "0" * 32))
    away = harvester.two.rename(harvester.two.with_name("away"))
    assert stays(), "the other drive is away"
    away.rename(harvester.two)
    harvester.part.with_suffix(part_files.RECORD).rename(harvester.part.with_suffix(".kept"))
    assert stays(), "nothing says which plot it is"
    harvester.part.with_suffix(".kept").rename(harvester.part.with_suffix(part_files.RECORD))
    assert not stays()
    assert (harvester.two / name).exists()


def test_a_drive_that_fails_keeps_its_part_and_stops_nothing(
    harvester: Harvester, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    harvester.reserve()
    harvester.index.put(harvester.plot_id, str(harvester.two))
    monkeypatch.setattr(digests, "admitted", fails)
    with caplog.at_level(logging.INFO):
        resume.drop_superseded(harvester.drives, harvester.index, harvester.drives.refresh())
    assert harvester.part.exists()
    assert "is not needed" not in caplog.text
