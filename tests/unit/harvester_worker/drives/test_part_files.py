"""What lies in .incoming, and what is swept from it."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from common.errors import TransferFailed
from common.model.snapshot import DirState
from common.system.probe import DirReport
from harvester_worker.drives import part_files
from harvester_worker.drives.part_files import PartRecord
from harvester_worker.drives.survey import DriveSurvey

NOW = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
ID = "0f" * 32
LONG_AGO_S = NOW.timestamp() - part_files.ABANDONED_S - 60


@pytest.fixture
def drive(tmp_path: Path) -> str:
    part_files.prepare(str(tmp_path))
    return str(tmp_path)


def record(size_bytes: int = 1000) -> PartRecord:
    return PartRecord(
        plot_id=ID, name=f"{ID}.plot", size_bytes=size_bytes, source_host="h", path="/d/p", reserved_at=NOW
    )


def part(drive: str, age_s: float = 0, length_bytes: int = 0) -> Path:
    path = part_files.part_path(drive, ID)
    path.write_bytes(bytes(length_bytes))
    part_files.write_record(path, record())
    for file in (path, path.with_suffix(part_files.RECORD)):
        os.utime(file, (NOW.timestamp() - age_s,) * 2)
    return path


def test_a_part_is_found_with_what_it_is_to_become(drive: str) -> None:
    path = part(drive, age_s=5)

    [found] = part_files.parts(drive)

    assert (found.path, found.record, found.length_bytes) == (path, record(), 0)
    assert found.to_come_bytes == 1000  # nothing is held: this one was not allocated
    assert NOW.timestamp() - found.touched_s == pytest.approx(5)


def test_a_part_whose_record_is_damaged_is_still_found(drive: str) -> None:
    part(drive).with_suffix(part_files.RECORD).write_text("{half a rec")

    assert part_files.parts(drive)[0].record is None


def test_a_drive_without_the_folder_has_no_parts(tmp_path: Path) -> None:
    assert part_files.parts(str(tmp_path / "gone")) == []


@pytest.mark.parametrize(("age_s", "gone"), [(60, False), (3600, False), (3 * 3600, True)])
def test_a_part_untouched_for_longer_than_any_pause_is_swept(drive: str, age_s: float, gone: bool) -> None:
    path = part(drive, age_s)

    swept = part_files.sweep(drive, NOW)

    assert (path in swept) is gone
    assert path.exists() is not gone
    assert path.with_suffix(part_files.RECORD).exists() is not gone


def test_a_part_that_is_open_for_writing_is_never_swept(drive: str) -> None:
    path = part(drive, age_s=10 * 3600)

    with path.open("r+b"):
        assert part_files.sweep(drive, NOW) == []

    assert path.exists()


def test_a_part_whose_plot_is_taken_in_is_never_swept_however_long_that_takes(drive: str) -> None:
    path = part(drive, age_s=10 * 3600)

    assert part_files.sweep(drive, NOW, takes_in=lambda plot_id: plot_id == path.stem) == []
    assert part_files.sweep(drive, NOW) == [path]


def test_a_refused_copy_is_swept_after_a_day(drive: str) -> None:
    folder = part_files.folder(drive)
    for name, age_s in (("new.plot.refused", 3600), ("old.plot.refused", 25 * 3600)):
        (folder / name).touch()
        os.utime(folder / name, (NOW.timestamp() - age_s,) * 2)

    assert part_files.sweep(drive, NOW) == [folder / "old.plot.refused"]


def test_a_record_without_a_part_is_swept(drive: str) -> None:
    path = part(drive, age_s=3 * 3600)
    path.unlink()

    assert part_files.sweep(drive, NOW) == [path.with_suffix(part_files.RECORD)]


def test_nothing_in_the_folder_is_named_like_a_plot(drive: str) -> None:
    part(drive)

    assert list(Path(drive).rglob("*.plot")) == []


def test_the_folder_is_refused_on_another_file_system_than_the_drive(
    tmp_path: Path,
) -> None:
    if Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("both folders are on one file system")
    with TemporaryDirectory(dir="/dev/shm") as elsewhere:
        part_files.folder(str(tmp_path)).symlink_to(elsewhere)
        with pytest.raises(TransferFailed, match="another file system"):
            part_files.prepare(str(tmp_path))


def test_parts_alone_are_listed(drive: str) -> None:
    incoming = part_files.folder(drive)
    for name in (f"{ID}.part", f"{ID}.json", "a.plot.refused"):
        (incoming / name).touch()

    assert part_files.listed(str(incoming)) == (f"{ID}.part",)


def test_nobody_else_can_open_the_lock_and_so_hold_a_drive(tmp_path: Path) -> None:
    drive = str(tmp_path)
    lock = part_files.prepare(drive) / "lock"
    lock.touch(mode=0o644)  # as earlier versions made it
    with part_files.locked(drive):
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600


def test_what_was_touched_in_the_future_is_old_in_the_end(drive: str) -> None:
    """A machine whose clock was wrong for a moment: such a part would count as one under way for ever."""
    path = part(drive, age_s=-(10 * 365 * 86400))
    survey = DriveSurvey(DirReport(DirState.OK), parts=tuple(part_files.parts(drive)))
    assert survey.writers(NOW) == 0

    assert part_files.sweep(drive, NOW) == []
    later = NOW + timedelta(seconds=part_files.ABANDONED_S + 1)
    assert part_files.sweep(drive, later) == [path]


def test_a_record_of_a_plot_that_cannot_be_takes_no_room(drive: str) -> None:
    path = part(drive)
    text = record().model_dump_json().replace('"size_bytes":1000', f'"size_bytes":{1 << 53}')
    path.with_suffix(part_files.RECORD).write_text(text)

    assert part_files.parts(drive)[0].to_come_bytes == 0


def test_the_digest_of_an_earlier_arrival_is_not_noted(drive: str) -> None:
    path = part(drive)
    part_files.note_digest(path, "0f", lambda: False)
    assert part_files.record_of(path) == record()
    part_files.note_digest(path, "f0", lambda: True)
    assert part_files.record_of(path) == record().model_copy(update={"digest": "f0"})
