"""The inventory of several drives: which count, and what a drive that hangs costs."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.model.plot_class import InventorySums
from common.model.snapshot import DriveUse
from common.system.probe import Probe
from harvester_worker.drives.registry import DriveRegistry
from harvester_worker.inventory import inventory as module
from harvester_worker.inventory import reading
from harvester_worker.inventory.inventory import Inventory
from tests.support.plots import write_plot
from tests.support.waiting import eventually


class Farm:
    """Drives a, b and c of a harvester."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "state" / "inventory.sqlite3"
        self.uses: dict[str, DriveUse] = {}
        self.published: list[InventorySums | None] = []
        self.probe = Probe()
        for name in "abc":
            (folder / name).mkdir()
        self.configured = [str(folder / name) for name in "abc"]
        self.drives = DriveRegistry(
            lambda: self.configured, True, self.probe, lambda path: self.uses.get(path, DriveUse.ACTIVE)
        )
        self.inventory = self._begun()

    def _begun(self) -> Inventory:
        self.drives.refresh()
        made = Inventory(self.drives, self.file, lambda: self.published.append(self.inventory.sums()))
        self.inventory = made
        made.start()
        return made

    def restart(self) -> None:
        self.inventory.stop()
        self._begun()

    def plots(self) -> dict[str, tuple[int, bool]]:
        return {Path(row.drive).name: (row.plots, row.counts) for row in self.inventory.rows()[0]}

    def total(self) -> int | None:
        self.drives.refresh()
        sums = self.inventory.sums()
        return None if sums is None else sum(one.plots for one in sums.classes)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TICK_S", 0.02)
    monkeypatch.setattr(module, "_RETRY_S", 0.05)


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    made = Farm(tmp_path)
    yield made
    made.inventory.stop()
    made.probe.close()


def test_plots_that_come_and_go_are_counted_and_published(farm: Farm) -> None:
    plot = write_plot(farm.folder / "a", 300)
    write_plot(farm.folder / "c", 300)
    eventually(lambda: farm.total() == 2, "both are counted")
    assert farm.plots() == {"a": (1, True), "b": (0, True), "c": (1, True)}
    assert farm.published[-1] == farm.inventory.sums()
    plot.unlink()
    eventually(lambda: farm.total() == 1, "one is gone")


def test_nothing_is_published_while_nothing_changes(farm: Farm) -> None:
    write_plot(farm.folder / "a", 300)
    eventually(lambda: farm.total() == 1, "it is counted")
    rounds = []
    original = farm.inventory._summed
    farm.inventory._summed = lambda *given: (rounds.append(1), original(*given))[1]  # type: ignore[method-assign]
    before = len(farm.published)
    eventually(lambda: len(rounds) > 5, "rounds")
    assert len(farm.published) == before


def test_a_restart_reads_nothing_again(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        write_plot(farm.folder / name, 300)
    eventually(lambda: farm.total() == 3, "all are counted")
    farm.inventory.stop()
    monkeypatch.setattr(reading, "examine", lambda *_: pytest.fail("it was read again"))
    farm.restart()
    eventually(lambda: farm.total() == 3, "all are known")
    eventually(lambda: (sums := farm.inventory.sums()) and sums.listed == sums.read == 3, "all are listed")


def test_a_drive_that_hangs_hangs_only_its_own_inventory(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    farm.inventory.stop()
    released, listed, times = threading.Event(), reading.listed, []

    def slow(drive: str) -> reading.Listing:
        if drive.endswith("/a"):
            times.append(1)
            released.wait(30)
        return listed(drive)

    monkeypatch.setattr(reading, "listed", slow)
    # Their device is one, so that they would wait for each other.
    monkeypatch.setattr(module, "_device_of", lambda path, _: path)
    farm.restart()
    for name in "abc":
        write_plot(farm.folder / name, 300)
    eventually(lambda: farm.total() == 2, "the others are counted")
    rounds = farm.inventory._summed
    count: list[int] = []
    farm.inventory._summed = lambda *given: (count.append(1), rounds(*given))[1]  # type: ignore[method-assign]
    eventually(lambda: len(count) > 5, "rounds")
    hanging = [one for one in threading.enumerate() if one.name == f"inventory {farm.folder / 'a'}"]
    assert (times, len(hanging)) == ([1], 1), "no second thread waits for it"
    released.set()
    eventually(lambda: farm.total() == 3, "it is counted once it answers")


def test_folders_of_one_device_are_read_one_at_a_time(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once, most, listed = [0], [0], reading.listed
    lock = threading.Lock()

    def counted(drive: str) -> reading.Listing:
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        threading.Event().wait(0.05)
        with lock:
            at_once[0] -= 1
        return listed(drive)

    monkeypatch.setattr(reading, "listed", counted)
    for name in "abc":
        write_plot(farm.folder / name, 300)
    farm.restart()
    eventually(lambda: farm.total() == 3, "all are counted")
    assert most == [1]


def test_a_drive_that_is_lost_or_disabled_does_not_count_and_is_remembered(farm: Farm) -> None:
    for name in "abc":
        write_plot(farm.folder / name, 300)
    eventually(lambda: farm.total() == 3, "all are counted")
    (farm.folder / "a").rename(farm.folder / "away")
    farm.uses[str(farm.folder / "b")] = DriveUse.DISABLED
    eventually(lambda: farm.total() == 1, "one is left")
    assert farm.plots() == {"a": (1, False), "b": (1, False), "c": (1, True)}
    (farm.folder / "away").rename(farm.folder / "a")
    eventually(lambda: farm.total() == 2, "it is back")


def test_a_drive_that_is_not_configured_any_more_is_forgotten(farm: Farm) -> None:
    for name in "ab":
        write_plot(farm.folder / name, 300)
    eventually(lambda: farm.total() == 2, "both are counted")
    farm.configured.remove(str(farm.folder / "a"))
    farm.drives.forget(lambda path: path in farm.configured)
    eventually(lambda: farm.total() == 1, "one is left")
    assert farm.inventory.store is not None
    eventually(lambda: str(farm.folder / "a") not in farm.inventory.store.tallies(), "it is forgotten")


def test_a_folder_that_is_configured_twice_counts_once(farm: Farm) -> None:
    write_plot(farm.folder / "a", 300)
    (farm.folder / "same").symlink_to(farm.folder / "a")
    farm.configured.append(str(farm.folder / "same"))
    eventually(lambda: farm.total() == 1, "it is counted")
    assert farm.plots()["same"] == (0, False)
    assert farm.inventory.duplicates() == 0


def test_a_plot_on_two_drives_is_a_duplicate(farm: Farm) -> None:
    plot = write_plot(farm.folder / "a", 300)
    (farm.folder / "b" / plot.name).write_bytes(plot.read_bytes())
    eventually(lambda: (sums := farm.inventory.sums()) and sums.duplicates == 1, "it is found")


def test_sparse_files_larger_than_any_drive_keep_the_inventory_neither_closed_nor_unpublished() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:  # a tmpfs takes this size
        farm = Farm(Path(folder))
        try:
            for name in ("a/x.plot", "a/y.plot", "b/z.plot"):
                (farm.folder / name).touch()
                os.truncate(farm.folder / name, (1 << 63) - 1)
            write_plot(farm.folder / "a", 300)
            eventually(lambda: farm.total() == 1, "the plot is counted")
            eventually(lambda: (sums := farm.inventory.sums()) and sums.faults == 3, "and the others")
            farm.restart()
            eventually(lambda: farm.total() == 1, "the inventory is opened again")
            assert not any(drive.full for drive in farm.drives.published())
        finally:
            farm.inventory.stop()
            farm.probe.close()


def test_a_damaged_file_is_made_anew_while_it_is_used(farm: Farm) -> None:
    write_plot(farm.folder / "a", 300)
    eventually(lambda: farm.total() == 1, "it is counted")
    size = farm.file.stat().st_size
    with farm.file.open("r+b") as opened:
        opened.write(os.urandom(size))
    write_plot(farm.folder / "b", 300)
    eventually(lambda: farm.total() == 2, "all is read again")


def test_a_state_folder_that_cannot_be_written_delays_the_inventory_only(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    farm = Farm(tmp_path)
    try:
        write_plot(tmp_path / "a", 300)
        assert farm.total() is None
        (tmp_path / "state").unlink()
        eventually(lambda: farm.total() == 1, "it is counted")
    finally:
        farm.inventory.stop()
        farm.probe.close()
