"""Directories that come and go with plotman.yaml, on a real file system."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.config import Config
from common.model.snapshot import DirState
from plotter_worker.directories.monitors import DirectoryMonitors, kept_plot_folders
from tests.support.plots import write_plot
from tests.support.waiting import eventually
from tests.unit.common.config.test_reload import settings


def with_dirs(root: Path, tmp: str, dst: str) -> Config:
    """tmp, dst: names of directories, one letter each."""
    directories: dict[str, Any] = {
        key: [str(root / name) for name in names] for key, names in (("tmp", tmp), ("dst", dst))
    }
    for names in directories.values():
        for name in names:
            Path(name).mkdir(exist_ok=True)
    return settings(directories=directories, farm={"host": "p1", "state": str(root / "state")})


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[DirectoryMonitors]:
    made = DirectoryMonitors(with_dirs(tmp_path, "ab", "yz"), lambda _: None)
    made.start()
    eventually(lambda: looked_at(made), "all are looked at")
    yield made
    made.stop()


def looked_at(folders: DirectoryMonitors) -> bool:
    return all(seen.report.state is DirState.OK for seen in folders.surveys().values())


def names(folders: DirectoryMonitors) -> str:
    return "".join(sorted(Path(path).name for path in folders.paths()))


def test_a_directory_that_is_added_is_looked_at(folders: DirectoryMonitors, tmp_path: Path) -> None:
    folders.reload(with_dirs(tmp_path, "abc", "yz"), frozenset())
    added = str(tmp_path / "c")
    eventually(lambda: folders.surveys()[added].report.state is DirState.OK, "it is looked at")


def test_a_directory_that_is_taken_out_is_dropped_when_nothing_is_made_in_it(
    folders: DirectoryMonitors, tmp_path: Path
) -> None:
    less = with_dirs(tmp_path, "a", "yz")
    folders.reload(less, frozenset({str(tmp_path / "b")}))
    assert names(folders) == "abyz", "a plot is made in it"
    assert folders.retired == {str(tmp_path / "b")}
    folders.reload(less, frozenset())
    assert names(folders) == "abyz", "what was made may not have been seen yet"
    folders.reload(less, frozenset())
    assert names(folders) == "ayz"
    assert not folders.retired


def test_plots_in_a_directory_that_is_taken_out_still_leave(
    folders: DirectoryMonitors, tmp_path: Path
) -> None:
    out = tmp_path / "z"
    plot = write_plot(out)
    eventually(lambda: folders.surveys()[str(out)].plots, "the plot is seen")
    less = with_dirs(tmp_path, "ab", "y")
    folders.reload(less, frozenset())
    assert str(out) in folders.plot_folders
    plot.unlink()
    folders.refresh()
    eventually(lambda: not folders.surveys()[str(out)].plots, "it has left")
    folders.reload(less, frozenset())
    folders.reload(less, frozenset())
    assert folders.plot_folders == (str(tmp_path / "y"),)


def test_a_directory_that_comes_back_is_no_longer_retired(folders: DirectoryMonitors, tmp_path: Path) -> None:
    folders.reload(with_dirs(tmp_path, "a", "yz"), frozenset({str(tmp_path / "b")}))
    folders.reload(with_dirs(tmp_path, "ab", "yz"), frozenset())
    assert names(folders) == "abyz"
    assert not folders.retired


def test_a_directory_that_is_taken_out_is_emptied_after_a_restart_too(
    folders: DirectoryMonitors, tmp_path: Path
) -> None:
    plot = write_plot(tmp_path / "z")
    less = with_dirs(tmp_path, "ab", "y")
    folders.stop()
    next_one = DirectoryMonitors(less, lambda _: None)
    next_one.reload(less, frozenset())
    next_one.reload(less, frozenset())
    assert names(next_one) == "abyz", "nobody has looked into it yet"
    next_one.start()
    try:
        eventually(lambda: next_one.surveys()[str(tmp_path / "z")].plots, "its plot is seen")
        assert str(tmp_path / "z") in next_one.plot_folders
        assert str(tmp_path / "z") in kept_plot_folders(tmp_path / "state"), (
            "the archiver may take plots from it"
        )
        plot.unlink()
        next_one.refresh()
        eventually(lambda: not next_one.surveys()[str(tmp_path / "z")].plots, "it has left")
        next_one.reload(less, frozenset())
        next_one.reload(less, frozenset())
        assert names(next_one) == "aby"
        assert kept_plot_folders(tmp_path / "state") == (str(tmp_path / "y"),)
    finally:
        next_one.stop()
