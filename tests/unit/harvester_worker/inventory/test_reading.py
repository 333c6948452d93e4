"""One pass over a drive: what is read, and what is left alone."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.system.plotfile import chunk_index
from harvester_worker.inventory import reading
from harvester_worker.inventory.entry import Entry
from harvester_worker.inventory.reading import DriveReader, listed, pause_s
from harvester_worker.inventory.store import InventoryStore
from tests.support import formats
from tests.support.plots import write_plot


class Bench:
    """A drive, its store, and the names of the files that were read."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.drive = folder / "drive"
        self.drive.mkdir()
        self.store = InventoryStore(folder / "inventory.sqlite3")
        self.read: list[str] = []
        self.progress: list[tuple[int, int]] = []
        self.stop = threading.Event()
        self.alone = threading.Lock()
        self.written = False
        self.failing: Callable[[str], BaseException | None] = lambda _: None
        examine = reading.examine

        def noted(path: bytes, status: os.stat_result) -> Entry:
            assert self.alone.locked()
            name = os.fsdecode(path.rpartition(b"/")[2])
            if error := self.failing(name):
                raise error
            self.read.append(name)
            return examine(path, status)

        monkeypatch.setattr(reading, "examine", noted)

    @property
    def folder(self) -> tuple[int, int]:
        status = self.drive.stat()
        return status.st_dev, status.st_ino

    def go(self, folder: tuple[int, int] | None = None) -> bool:
        """A pass; whether it came to its end."""
        self.read.clear()
        self.progress.clear()
        reader = DriveReader(
            str(self.drive), self.store, self.alone, self.stop, lambda: self.written, self._note
        )
        return reader.run(folder or self.folder) is not None

    def _note(self, listed: int, read: int) -> None:
        self.progress.append((listed, read))
        assert not self.alone.locked()

    def plots(self) -> int:
        tally = self.store.tallies().get(str(self.drive))
        return tally.total.plots if tally else 0


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def test_a_file_is_read_once(bench: Bench) -> None:
    names = sorted(write_plot(bench.drive).name for _ in range(3))
    assert bench.go()
    assert (sorted(bench.read), bench.plots()) == (names, 3)
    assert bench.go()
    assert (bench.read, bench.plots()) == ([], 3)
    assert bench.progress == [(3, 3)]


def grow(file: Path) -> None:
    status = file.stat()
    with file.open("ab") as opened:
        opened.write(b"x")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def touch(file: Path) -> None:
    status = file.stat()
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def exchange(file: Path) -> None:
    """Another file of the same name, size and time."""
    status = file.stat()
    copy = file.with_name("copy")
    copy.write_bytes(file.read_bytes())
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    copy.rename(file)


@pytest.mark.parametrize("change", [grow, touch, exchange])
def test_a_file_that_changed_is_read_again_and_no_other(bench: Bench, change: Callable[[Path], None]) -> None:
    plot, _ = write_plot(bench.drive), write_plot(bench.drive)
    bench.go()
    change(plot)
    bench.go()
    assert (bench.read, bench.plots()) == ([plot.name], 2)


def test_a_file_that_is_gone_is_forgotten(bench: Bench) -> None:
    plot, _ = write_plot(bench.drive), write_plot(bench.drive)
    bench.go()
    plot.unlink()
    bench.go()
    assert (bench.read, bench.plots()) == ([], 1)


def test_another_file_system_in_the_place_of_the_drive_changes_nothing(bench: Bench) -> None:
    write_plot(bench.drive)
    bench.go()
    device, inode = bench.folder
    (bench.drive / next(bench.drive.iterdir()).name).unlink()
    with pytest.raises(OSError, match="another file system"):
        bench.go((device, inode + 1))
    with pytest.raises(OSError, match="another file system"):
        bench.go((device + 1, inode))
    assert bench.plots() == 1


def test_a_drive_that_vanishes_while_it_is_listed_changes_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plot(bench.drive)
    bench.go()
    folder = bench.folder

    def unmounted(drive: str) -> reading.Listing:
        bench.drive.rename(bench.drive.with_name("gone"))
        bench.drive.mkdir()
        return reading.Listing()

    monkeypatch.setattr(reading, "listed", unmounted)
    with pytest.raises(OSError, match="another file system"):
        bench.go(folder)
    assert bench.plots() == 1


def test_a_file_that_cannot_be_read_is_a_fault_and_is_tried_each_time(bench: Bench) -> None:
    plot, other = write_plot(bench.drive), write_plot(bench.drive)
    bench.failing = lambda name: PermissionError(errno.EACCES, "denied") if name == plot.name else None
    bench.go()
    (fault,) = bench.store.page([str(bench.drive)], True, None, 10)
    assert (fault.entry.reason, bench.plots()) == ("cannot be read: denied", 1)
    bench.failing = lambda _: None
    bench.go()
    assert (bench.read, bench.plots(), other.exists()) == ([plot.name], 2, True)


def test_a_drive_that_fails_makes_no_fault_of_each_of_its_files(bench: Bench) -> None:
    for _ in range(30):
        write_plot(bench.drive, 200)
    bench.failing = lambda _: OSError(errno.EIO, "Input/output error")
    with pytest.raises(OSError, match="Input/output"):
        bench.go()
    assert bench.store.page([str(bench.drive)], True, None, 10) == []
    bench.failing = lambda _: None
    assert bench.go()
    assert bench.plots() == 30


def test_a_file_that_is_removed_meanwhile_is_no_fault(bench: Bench) -> None:
    plot, _ = write_plot(bench.drive), write_plot(bench.drive)
    bench.failing = lambda name: FileNotFoundError() if name == plot.name else None
    bench.go()
    assert (bench.plots(), bench.store.page([str(bench.drive)], True, None, 10)) == (1, [])


def test_what_was_read_before_a_stop_is_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_BATCH_MAX", 2)
    monkeypatch.setattr(bench.stop, "wait", lambda _: len(bench.read) >= 4 and bench.stop.set())
    for _ in range(6):
        write_plot(bench.drive, 200)
    assert not bench.go()
    assert bench.plots() == 4
    bench.stop.clear()
    assert bench.go()
    assert (len(bench.read), bench.plots()) == (2, 6)


def test_a_drive_that_is_written_to_is_read_a_file_at_a_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused: list[tuple[int, float]] = []
    monkeypatch.setattr(bench.stop, "wait", lambda pause: paused.append((len(bench.read), pause)))
    for _ in range(4):
        write_plot(bench.drive, 200)
    bench.written = True
    bench.go()
    assert paused == [(1, 0.33), (2, 0.33), (3, 0.33)]


def test_a_pause_leaves_half_of_a_drive_to_others() -> None:
    assert pause_s(0.1, False) == 0.1
    assert pause_s(9.0, False) == 0.25
    assert pause_s(0.1, True) == pytest.approx(1 / 3, abs=0.01)


def test_only_what_looks_like_a_plot_is_listed(tmp_path: Path) -> None:
    kept = {"a.plot", "b.plot2", "c.PLOT", "d.plot.tmp", "e.plot2.partial", "f.drplot"}
    for name in (*kept, "README", "plot.txt", ".hidden", "x.part"):
        (tmp_path / name).touch()
    (tmp_path / "folder.plot").mkdir()
    (tmp_path / "link.plot").symlink_to("/nowhere")
    found = listed(str(tmp_path)).files
    assert {os.fsdecode(name) for name in found} == {*kept, "link.plot"}


def test_a_drive_with_more_files_than_fit_is_listed_in_part(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.plot").touch()
    found = listed(str(tmp_path), 3)
    assert (len(found.files), found.left_out) == (3, 2)


class Turn:
    """The lock around indexes, which notes when a thread comes while another has it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.second_waits = threading.Event()

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            self.second_waits.set()
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_the_indexes_of_two_drives_are_never_computed_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drives = [tmp_path / "drive1", tmp_path / "drive2"]
    for drive in drives:
        drive.mkdir()
        formats.make_group(drive)
    turn, walk = Turn(), chunk_index._walk
    inside: list[int] = []
    most: list[int] = []

    def watched(*args: Any) -> Any:
        inside.append(1)
        if not most:
            turn.second_waits.wait(10)  # nothing else would let the second come while the first is here
        most.append(len(inside))
        try:
            return walk(*args)
        finally:
            inside.pop()

    monkeypatch.setattr(chunk_index, "_TURN", turn)
    monkeypatch.setattr(chunk_index, "_walk", watched)
    store = InventoryStore(tmp_path / "inventory.sqlite3")
    finished: list[bool] = []

    def one_pass(drive: Path) -> None:
        reader = DriveReader(
            str(drive), store, threading.Lock(), threading.Event(), lambda: False, lambda *_: None
        )
        status = drive.stat()
        finished.append(reader.run((status.st_dev, status.st_ino)) is not None)

    threads = [threading.Thread(target=one_pass, args=(drive,), daemon=True) for drive in drives]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert turn.second_waits.is_set()
    assert (finished, most) == ([True, True], [1, 1])
    assert sum(tally.total.plots for tally in store.tallies().values()) == 2
