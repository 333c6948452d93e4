"""Digests beside the plots of a drive: which file they describe, and which entries are deleted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harvester_worker.drives import digests, part_files
from harvester_worker.drives.digests import DigestEntry

NAME = "a.plot"


@pytest.fixture
def plot(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_bytes(b"plot")
    part_files.prepare(str(tmp_path))
    digests.write(str(tmp_path), NAME, DigestEntry.of(path, "0" * 32))
    return path


def entry_of(plot: Path) -> Path:
    return plot.parent / ".incoming" / "digests" / plot.name


def admitted(plot: Path) -> bool:
    return digests.admitted(str(plot.parent), plot.name) is not None


def change_in_place(plot: Path) -> None:
    """The size and the time of change stay; only the kernel's ctime shows it."""
    status = plot.stat()
    plot.write_bytes(b"toll")
    os.utime(plot, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace(plot: Path) -> None:
    plot.rename(plot.with_suffix(".was"))
    plot.write_bytes(b"plot")


def suspect(plot: Path) -> None:
    entry = DigestEntry.of(plot, "0" * 32)
    digests.write(str(plot.parent), NAME, entry.model_copy(update={"suspect": "it reads otherwise"}))


def older(plot: Path) -> None:
    """As an older plotman wrote entries."""
    entry_of(plot).write_text('{"digest": "00", "size_bytes": 4}')


@pytest.mark.parametrize(
    "change",
    [
        change_in_place,
        replace,
        suspect,
        older,
        Path.unlink,
        lambda plot: entry_of(plot).write_text("{half an ent"),
        lambda plot: entry_of(plot).unlink(),
    ],
)
def test_an_entry_is_of_the_very_file_that_was_taken_in(plot: Path, change: Callable[[Path], object]) -> None:
    assert admitted(plot)
    change(plot)
    assert not admitted(plot)


def test_a_drive_that_took_nothing_in_has_no_entries(tmp_path: Path) -> None:
    assert not admitted(tmp_path / NAME)
    assert digests.entries(str(tmp_path)) == []


def test_the_entries_begin_with_the_plot_that_was_read_the_longest_ago(plot: Path) -> None:
    drive = str(plot.parent)
    other = plot.with_name("b.gplot")
    other.write_bytes(b"plot")
    digests.write(drive, other.name, DigestEntry.of(other, "1" * 32))
    for path, at in ((plot, 1000), (other, 2000)):
        os.utime(entry_of(path), (at, at))
    assert [(one.plot, one.checked_s) for one in digests.entries(drive)] == [(plot, 1000), (other, 2000)]
    before_s = time.time()
    digests.note_read(drive, NAME)
    assert [one.plot for one in digests.entries(drive)] == [other, plot]
    assert digests.entries(drive)[1].checked_s >= before_s - 1


def test_entries_of_plots_that_no_longer_exist_and_drafts_are_deleted(plot: Path) -> None:
    draft = entry_of(plot).with_name(f"{NAME}.draft")
    draft.touch()
    plot.with_name(draft.name).touch()  # whatever has that name is no plot
    entry_of(plot).with_name("broken.plot").write_text("{half an ent")
    plot.with_name("broken.plot").touch()
    others = entry_of(plot).with_name("notes.txt")
    others.touch()
    assert [one.plot for one in digests.entries(str(plot.parent))] == [plot]
    assert not draft.exists()
    assert others.exists(), "it is the entry of no plot"
    plot.unlink()
    assert digests.entries(str(plot.parent)) == []
    assert not entry_of(plot).exists()
    assert entry_of(plot).with_name("broken.plot").exists(), "its plot still exists"


@pytest.mark.parametrize("folder", [".incoming", ".incoming/digests"])
def test_a_link_in_the_place_of_a_folder_is_never_followed(plot: Path, folder: str) -> None:
    """What is deleted behind it could be anything."""
    drive = plot.parent
    elsewhere = (drive / folder).rename(drive / "elsewhere")
    (drive / folder).symlink_to(elsewhere)
    plot.unlink()
    before = sorted(elsewhere.rglob("*"))
    for call in (
        lambda: digests.entries(str(drive)),
        lambda: digests.admitted(str(drive), NAME),
        lambda: digests.write(str(drive), NAME, DigestEntry(digest="0", size_bytes=1)),
    ):
        with pytest.raises(NotADirectoryError):
            call()
    digests.forget(str(drive), NAME)
    assert sorted(elsewhere.rglob("*")) == before
