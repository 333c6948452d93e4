"""Files under a plot's name: which one counts as the plot, and which stops a transfer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.errors import PlotRefused, TransferFailed
from common.model.plot_name import PlotName
from common.system.probe import Hanging, Probe
from harvester_worker.drives import digests, part_files
from harvester_worker.drives.digests import DigestEntry
from harvester_worker.drives.existing_plots import (
    ExistingPlot,
    admitted_file,
    best_copy,
    existing_plot,
    find_copies,
    plots_with_ids,
    same_file,
    why_unread,
)
from tests.support.plots import write_plot

SIZE = 5000


@pytest.fixture
def plot(tmp_path: Path) -> Path:
    return write_plot(tmp_path, SIZE)


def name_of(plot: Path) -> PlotName:
    name = PlotName.parse(plot.name)
    assert name is not None
    return name


def found(plot: Path, size_bytes: int = SIZE) -> ExistingPlot | None:
    return existing_plot(name_of(plot), size_bytes, str(plot.parent))


def test_a_file_counts_as_ours_once_it_was_taken_in(plot: Path) -> None:
    assert found(plot) == ExistingPlot(plot, ours=False)
    part_files.prepare(str(plot.parent))
    digests.write(str(plot.parent), plot.name, DigestEntry.of(plot, "0" * 32))
    assert found(plot) == ExistingPlot(plot, ours=True)
    plot.unlink()
    assert found(plot) is None


def test_another_file_of_the_name_is_refused(plot: Path) -> None:
    with pytest.raises(PlotRefused, match=f"has {SIZE} bytes, the plot to come {SIZE + 1}"):
        found(plot, SIZE + 1)
    with plot.open("ab"), pytest.raises(TransferFailed, match="being written by another program"):
        found(plot)
    write_plot(plot.parent, SIZE).replace(plot)  # another plot's header
    with pytest.raises(PlotRefused, match="is not the plot that is to come"):
        found(plot)
    plot.write_bytes(bytes(SIZE))
    with pytest.raises(PlotRefused, match="is no plot: it begins"):
        found(plot)


def test_errors_of_one_drive_hide_no_other(plot: Path, tmp_path: Path) -> None:
    other, broken = tmp_path / "other", tmp_path / "file"
    other.mkdir()
    (other / plot.name).write_bytes(b"something else")
    broken.touch()
    probe = Probe()
    drives = [str(path) for path in (broken, other, tmp_path)]
    copies = find_copies(probe, drives, name_of(plot), SIZE, 30)
    probe.close()
    assert [type(copies[drive]) for drive in drives] == [NotADirectoryError, PlotRefused, ExistingPlot]


def test_the_file_that_the_harvester_took_in_counts_before_all_others() -> None:
    ours, foreign = ExistingPlot(Path("/1/a"), True), ExistingPlot(Path("/2/a"), False)
    refused, writing = PlotRefused("other"), TransferFailed("writing")
    away = (OSError(5, "broken"), Hanging("/x", ""), None)
    assert best_copy({"/0": refused, "/2": foreign, "/1": ours}) == ("/1", ours)
    assert best_copy({"/2": foreign, **dict(zip("abc", away, strict=True))}) == ("/2", foreign)
    assert best_copy(dict(zip("abc", away, strict=True))) is None
    for error in (refused, writing):
        with pytest.raises(type(error)):
            best_copy({"/2": foreign, "/0": error})


def test_a_drive_says_why_it_cannot_be_read() -> None:
    assert why_unread(Hanging("/x", "")) == "does not answer"
    assert why_unread(OSError(5, "Input/output error")) == "cannot be read: Input/output error"
    assert why_unread(OSError("odd")) == "cannot be read: odd"


def test_plots_are_found_by_name_and_header(plot: Path, tmp_path: Path) -> None:
    plot_id = name_of(plot).plot_id
    other, wrong, no_plot = (write_plot(tmp_path, SIZE) for _ in range(3))
    wrong.write_bytes(plot.read_bytes())
    no_plot.write_bytes(bytes(SIZE))
    (tmp_path / "notes.txt").touch()
    wanted = {plot_id, name_of(wrong).plot_id, name_of(no_plot).plot_id}
    assert plots_with_ids(wanted, str(tmp_path)) == [(plot_id, str(plot))]
    assert plots_with_ids({name_of(other).plot_id}, str(tmp_path)) == [(name_of(other).plot_id, str(other))]
    assert isinstance(plots_with_ids(wanted, str(tmp_path / "nowhere")), FileNotFoundError)


def test_one_file_may_have_two_paths(plot: Path, tmp_path: Path) -> None:
    link, other = tmp_path / "link", write_plot(tmp_path, SIZE)
    os.link(plot, link)
    assert same_file(str(plot), str(link))
    assert not same_file(str(plot), str(other))
    assert not same_file(str(plot), str(tmp_path / "nowhere"))


def renamed(plot: Path, day: int = 23) -> Path:
    return plot.rename(plot.with_name(plot.name.replace("-22-", f"-{day}-")))


def test_a_plot_is_found_under_a_name_with_another_date(plot: Path) -> None:
    name, other = name_of(plot), renamed(plot)
    drive = str(plot.parent)
    assert existing_plot(name, SIZE, drive) == ExistingPlot(other, ours=False)
    part_files.prepare(drive)
    digests.write(drive, other.name, DigestEntry.of(other, "0" * 32))
    assert existing_plot(name, SIZE, drive) == ExistingPlot(other, ours=True)
    assert admitted_file(name.plot_id, drive) == other
    plot.write_bytes(other.read_bytes())
    assert existing_plot(name, SIZE, drive) == ExistingPlot(other, ours=True), "not the foreign one"
    plot.write_bytes(b"bad")
    assert existing_plot(name, SIZE, drive) == ExistingPlot(other, ours=True), "nor the bad one"
    assert admitted_file(f"{7:064x}", drive) is None


def test_of_foreign_files_the_one_with_the_plots_own_name_counts(plot: Path) -> None:
    other = renamed(plot)
    plot.write_bytes(other.read_bytes())
    assert found(plot) == ExistingPlot(plot, ours=False)


def test_a_bad_copy_under_another_name_is_reported_and_no_plot_is_in_its_way(plot: Path) -> None:
    name, other = name_of(plot), renamed(plot)
    whole, drive = other.read_bytes(), str(plot.parent)
    other.write_bytes(whole[:-1])
    with pytest.raises(PlotRefused, match=f"{other} exists and is not the plot that is to come"):
        existing_plot(name, SIZE, drive)
    with other.open("ab"), pytest.raises(TransferFailed, match="being written by another program"):
        existing_plot(name, SIZE, drive)
    other.write_bytes(b"no plot")
    assert existing_plot(name, SIZE, drive) is None
    write_plot(plot.parent, SIZE).replace(other)  # another plot's header
    assert existing_plot(name, SIZE, drive) is None
    other.unlink()
    (plot.parent / f"{name.plot_id}.txt").touch()
    assert existing_plot(name, SIZE, drive) is None
