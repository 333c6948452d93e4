"""Directories of a plotter whose drive drops out, with a file system that is mounted and unmounted."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.config import Config
from common.model.snapshot import DirState
from plotter_worker.directories.monitors import DirectoryMonitors
from tests.support.plots import write_plot
from tests.support.waiting import eventually
from tests.unit.common.config.test_reload import settings


class Place:
    """A mount point, with the same folder on the drive and below it, on the system's disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path / "plots"
        self.folder.mkdir(parents=True)

    def mount(self) -> None:
        done = subprocess.run(["mount", "-t", "tmpfs", "drive", self.path], check=False, capture_output=True)
        if done.returncode:
            pytest.skip(f"mount does not work here: {done.stderr.decode().strip()}")
        self.folder.mkdir()

    def unmount(self, check: bool = True) -> None:
        subprocess.run(["umount", "--lazy", self.path], check=check, capture_output=True)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    if os.geteuid() != 0:
        pytest.skip("mounting a drive needs root")
    made = Place(tmp_path / "drive")
    made.mount()
    yield made
    made.unmount(check=False)


def config(tmp_path: Path, *dst: Path) -> Config:
    (tmp_path / "tmp").mkdir(exist_ok=True)
    directories = {"tmp": [str(tmp_path / "tmp")], "dst": list(map(str, dst))}
    return settings(directories=directories, farm={"host": "p1", "state": str(tmp_path / "state")})


@contextmanager
def looked_at(settings: Config) -> Iterator[DirectoryMonitors]:
    folders = DirectoryMonitors(settings, lambda _: None)
    folders.start()
    try:
        yield folders
    finally:
        folders.stop()


def becomes(folders: DirectoryMonitors, folder: Path, state: DirState) -> None:
    def is_so() -> bool:
        folders.refresh()
        return folders.surveys()[str(folder)].report.state is state

    eventually(is_so, f"it is {state}", 10, every_s=0.1)


def test_a_directory_whose_drive_drops_out_takes_no_plots_until_it_is_back(
    tmp_path: Path, place: Place
) -> None:
    named = config(tmp_path, place.folder)
    with looked_at(named) as folders:
        becomes(folders, place.folder, DirState.OK)
        place.unmount()
        becomes(folders, place.folder, DirState.NOT_MOUNTED)
    with looked_at(named) as folders:  # the worker, or the machine, was restarted
        becomes(folders, place.folder, DirState.NOT_MOUNTED)
        place.mount()
        becomes(folders, place.folder, DirState.OK)
        write_plot(place.folder)
        # At once: it is watched again, and not only looked at every ten seconds.
        eventually(lambda: folders.surveys()[str(place.folder)].plots, "plots on it are seen", 3)


def test_who_takes_it_out_and_names_it_again_may_mean_the_plain_folder(tmp_path: Path, place: Place) -> None:
    with looked_at(config(tmp_path, place.folder)) as folders:
        becomes(folders, place.folder, DirState.OK)
        place.unmount()
        for _ in range(2):  # what may have been made there this moment is waited for
            folders.reload(config(tmp_path, tmp_path / "tmp"), frozenset())
        folders.reload(config(tmp_path, place.folder), frozenset())
        becomes(folders, place.folder, DirState.OK)
