"""What a plotter knows of plots that were sent: by their ids, wherever their files lie by now."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from common.system.delivered import Delivered, DeliveredFile, SourceFile
from tests.support.plots import write_plot


@pytest.fixture
def plot(tmp_path: Path) -> Path:
    (tmp_path / "dst").mkdir()
    return write_plot(tmp_path / "dst", 1000)


@pytest.fixture
def known(tmp_path: Path, plot: Path) -> DeliveredFile:
    """The plot was sent to h1."""
    made = DeliveredFile(tmp_path / "state")
    made.put(str(plot), "h1", plot.lstat())
    return made


def moved(plot: Path, name: str = "") -> Path:
    """Its folder has another path now, or the file another name."""
    if name:
        return plot.rename(plot.with_name(name))
    return plot.parent.rename(plot.parent.with_name("dst2")) / plot.name


@pytest.mark.parametrize("name", ["", "plot-k25-2027-01-01-00-00-{}.plot"])
def test_a_plot_that_was_sent_is_known_under_its_new_path(
    known: DeliveredFile, plot: Path, name: str
) -> None:
    now = moved(plot, name.format(plot.stem.rpartition("-")[2]))
    assert known.harvester_of(str(now)) == "h1"
    assert known.has(str(now), "h1", now.lstat())
    assert not known.has(str(now), "h2", now.lstat()), "it was not sent there"


def test_another_plot_is_not_known(known: DeliveredFile, plot: Path) -> None:
    other = write_plot(plot.parent, 1000)
    assert known.harvester_of(str(other)) is None
    assert not known.has(str(other), "h1", plot.lstat())
    assert known.harvester_of(str(plot.with_name("notes.txt"))) is None


def test_a_copy_is_only_compared_with_what_was_sent(known: DeliveredFile, plot: Path) -> None:
    """It may differ, whatever its time of change is."""
    copy = plot.parent.with_name("copies")
    copy.mkdir()
    copy = Path(shutil.copy2(plot, copy))
    assert copy.lstat().st_mtime_ns == plot.lstat().st_mtime_ns
    assert known.harvester_of(str(copy)) == "h1"
    assert not known.has(str(copy), "h1", copy.lstat())


def test_a_moved_plot_that_was_changed_is_not_what_was_sent(known: DeliveredFile, plot: Path) -> None:
    now = moved(plot)
    os.truncate(now, 999)
    assert not known.has(str(now), "h1", now.lstat())


def test_at_its_path_a_plot_keeps_its_record_though_its_inode_changes(
    known: DeliveredFile, plot: Path
) -> None:
    """Some network file systems do that."""
    shutil.copy2(plot, plot.with_name("copy"))
    plot.with_name("copy").rename(plot)
    assert known.has(str(plot), "h1", plot.lstat())
    os.utime(plot, (0, 0))
    assert not known.has(str(plot), "h1", plot.lstat())


def test_a_record_of_an_older_plotman_is_known_by_its_id_and_compared(tmp_path: Path, plot: Path) -> None:
    (tmp_path / "state").mkdir()
    status = plot.lstat()
    source = SourceFile(receiver="h1", size_bytes=status.st_size, mtime_ns=status.st_mtime_ns)
    old = Delivered(harvesters={str(plot): "h1"}, sources={str(plot): source})
    (tmp_path / "state" / "delivered.json").write_text(old.model_dump_json(exclude_none=True))
    known = DeliveredFile(tmp_path / "state")
    assert known.has(str(plot), "h1", status)
    now = moved(plot)
    assert known.harvester_of(str(now)) == "h1"
    assert not known.has(str(now), "h1", now.lstat())
    known.put(str(now), "h1")
    assert known.has(str(now), "h1", now.lstat())
    assert not known.has(str(now), "h2", now.lstat())


def test_a_copy_that_the_harvester_lost_is_forgotten_under_each_path(
    known: DeliveredFile, plot: Path
) -> None:
    now = moved(plot)
    known.forget(str(now), "h2")
    assert known.harvester_of(str(now)) == "h1", "another harvester's loss"
    known.put(str(now), "h1", now.lstat())
    other = write_plot(now.parent, 1000)
    known.put(str(other), "h1", other.lstat())

    known.forget(str(now), "h1")

    assert known.harvester_of(str(now)) is None
    assert known.harvester_of(str(plot)) is None
    assert not known.has(str(now), "h1", now.lstat())
    assert known.has(str(other), "h1", other.lstat())


def test_the_latest_copy_counts_for_a_path_that_has_none_of_its_own(known: DeliveredFile, plot: Path) -> None:
    other = plot.parent.with_name("other") / plot.name
    known.put(str(other), "h2", plot.lstat())
    assert known.harvester_of(str(plot)) == "h1"
    assert known.harvester_of(str(plot.parent.with_name("third") / plot.name)) == "h2"
