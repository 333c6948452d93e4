"""Links and pipes that somebody put where a harvester keeps its own files: they lead to no other place."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from common.errors import PlotmanError, PlotRefused
from common.model.plot_name import PlotName
from common.model.snapshot import DirState
from common.system.plotfile import read_header
from common.worker.digests import read_digest
from common.worker.move_step import never
from harvester_worker.drives import digests, part_files
from harvester_worker.drives.digests import DigestEntry
from harvester_worker.drives.existing_plots import existing_plot, plots_with_ids
from harvester_worker.drives.part_files import PartRecord
from harvester_worker.intake import verify
from harvester_worker.intake.resume import resume

PLOT_ID = "ab" * 32
NAME = f"plot-k32-2026-01-01-00-00-{PLOT_ID}.plot"
ENTRY = DigestEntry(digest="0" * 32, size_bytes=4)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A folder outside of the drive: old, and none of the harvester's business."""
    folder = tmp_path / "other"
    folder.mkdir()
    for name in (NAME, "delivered.json", "some.plot.refused"):
        (folder / name).write_text("precious")
        os.utime(folder / name, (1, 1))
    return folder


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_folder_of_digests_that_is_a_link_deletes_nothing_where_it_leads(drive: Path, other: Path) -> None:
    part_files.prepare(str(drive))
    (drive / ".incoming" / "digests").symlink_to(other)
    before = content(other)

    for touch in (
        lambda: digests.entries(str(drive)),
        lambda: digests.write(str(drive), NAME, ENTRY),
        lambda: digests.admitted(str(drive), NAME),
    ):
        with pytest.raises(NotADirectoryError, match="a link"):
            touch()

    assert content(other) == before


def test_an_incoming_folder_that_is_a_link_is_not_tidied_and_takes_no_plot(
    farm: Callable[..., Any], drive: Path, other: Path
) -> None:
    (drive / ".incoming").symlink_to(other)
    before = content(other)

    with pytest.raises(NotADirectoryError, match="a link"):
        part_files.sweep(str(drive), datetime.now(UTC))
    harvester = farm(drive)
    harvester.drives.sweep(lambda _: False)

    assert content(other) == before
    assert [look.report.state for look in harvester.drives.refresh().values()] == [DirState.MISSING]


def test_a_draft_that_is_a_link_is_replaced_and_not_written_through(drive: Path, other: Path) -> None:
    part_files.prepare(str(drive))
    part = part_files.part_path(str(drive), PLOT_ID)
    (drive / ".incoming" / "digests").mkdir()
    victim = other / "delivered.json"
    part.with_suffix(".draft").symlink_to(victim)
    (drive / ".incoming" / "digests" / f"{NAME}.draft").symlink_to(victim)
    before = content(other)

    digests.write(str(drive), NAME, ENTRY)
    part_files.write_record(
        part,
        PartRecord(
            plot_id=PLOT_ID,
            name=NAME,
            size_bytes=4,
            source_host="p1",
            path=f"/dst/{NAME}",
            reserved_at=part_files.now_utc(),
        ),
    )

    assert content(other) == before
    assert part_files.record_of(part) is not None


def test_a_lock_that_is_a_link_makes_no_file_elsewhere(drive: Path, tmp_path: Path) -> None:
    part_files.prepare(str(drive))
    (drive / ".incoming" / "lock").symlink_to(tmp_path / "made")

    with pytest.raises(OSError, match="symbolic links"), part_files.locked(str(drive)):
        pass

    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("place", [NAME, f".incoming/{PLOT_ID}.json", f".incoming/digests/{NAME}"])
def test_a_pipe_keeps_nobody_waiting(drive: Path, place: str) -> None:
    (drive / ".incoming" / "digests").mkdir(parents=True)
    part_files.part_path(str(drive), PLOT_ID).touch()
    os.mkfifo(drive / place)
    name = PlotName.parse(NAME)
    assert name is not None

    refused = []
    for look in (
        lambda: existing_plot(name, 4, str(drive)),
        lambda: plots_with_ids([PLOT_ID], str(drive)),
        lambda: part_files.parts(str(drive)),
        lambda: digests.admitted(str(drive), NAME),
        lambda: read_digest(drive / place, never),
    ):
        try:
            look()
        except (OSError, PlotmanError) as error:
            refused.append(str(error))

    assert [("not a regular file" in each) for each in refused] == [True] * (
        1 if place.endswith(".json") else 2
    )


def test_a_plot_whose_header_makes_a_table_of_the_whole_file_takes_no_more_memory_than_a_plot_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """chiapos reads table C2 as a whole. Here it begins behind the header and ends with the file."""
    size_bytes = 8 << 30
    head = b"Proof of Space Plot" + bytes.fromhex(PLOT_ID) + struct.pack(">BH4sH", 25, 4, b"v1.0", 0)
    file = tmp_path / "hostile.plot"
    file.write_bytes(head + struct.pack(">10Q", *[400] * 9, size_bytes))
    os.truncate(file, size_bytes)
    monkeypatch.setitem(verify.PROVER_MEMORY_BYTES, "chiapos", 200 << 20)

    with pytest.raises(PlotRefused, match="do not fit into the memory that a plot needs"):
        verify.prove(file, read_header(file), 1, never)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["a pipe", "a folder"])
def test_what_is_no_file_in_the_folder_of_parts_is_no_part_and_keeps_nobody_waiting(
    drive: Path, make: Callable[[Path], None]
) -> None:
    incoming = part_files.prepare(str(drive))
    part = incoming / f"{PLOT_ID}.part"
    make(part)
    (incoming / f"{'cd' * 32}.part").write_bytes(b"bytes")
    make(incoming / f"{'cd' * 32}.json")

    (found,) = part_files.parts(str(drive))

    assert (found.path.stem, found.record) == ("cd" * 32, None)
    assert part_files.record_of(found.path) is None


def test_a_part_that_is_another_file_of_the_drive_too_is_not_written_to(drive: Path) -> None:
    incoming = part_files.prepare(str(drive))
    mine = drive / "mine"
    mine.write_bytes(b"precious")
    part = incoming / f"{PLOT_ID}.part"
    part.hardlink_to(mine)
    record = PartRecord(
        plot_id=PLOT_ID, name=NAME, size_bytes=1000, source_host="p", path="/x", reserved_at=datetime.now(UTC)
    )
    part_files.write_record(part, record)
    (found,) = part_files.parts(str(drive))

    assert not resume(str(drive), found, record)

    assert mine.read_bytes() == b"precious"
    assert not part.exists()


def test_a_folder_that_is_exchanged_for_a_link_after_it_was_checked_deletes_nothing_where_it_leads(
    drive: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a user who may rename in the root of the drive, as in one of mode 0777."""
    incoming = part_files.prepare(str(drive))
    (incoming / "digests").mkdir()
    before, check = content(other), part_files.must_be_own
    turns = iter(["digests", ".incoming", ".incoming"])
    turn = next(turns)

    def exchanged(path: Path, status: os.stat_result) -> None:
        check(path, status)
        if Path(path).name == turn:
            real = Path(os.path.realpath(path))
            real.rename(real.with_name(f"{real.name} was here"))
            real.symlink_to(other)

    def put_back() -> None:
        for link in (incoming / "digests", incoming):
            if link.is_symlink():
                link.unlink()
                link.with_name(f"{link.name} was here").rename(link)

    monkeypatch.setattr(part_files, "must_be_own", exchanged)
    for touch in (
        lambda: digests.entries(str(drive)),
        lambda: digests.entries(str(drive)),
        lambda: part_files.sweep(str(drive), datetime.now(UTC)),
    ):
        with contextlib.suppress(OSError):
            touch()
        put_back()
        turn = next(turns, "")
        assert content(other) == before
