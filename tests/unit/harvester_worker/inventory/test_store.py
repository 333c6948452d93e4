"""What the inventory remembers: sums, pages, keys, changes, restarts, damage."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from common.model.figures import MOST, MOST_SPACE_BYTES
from common.model.plot_class import PlotClass
from harvester_worker.inventory.entry import Entry, Stamp
from harvester_worker.inventory.store import InventoryStore, open_or_rebuild
from harvester_worker.inventory.tally import DriveTally, Sum, summed

C7 = PlotClass(format="bladebit 2", k=32, compression=7)
PLAIN = PlotClass(format="v1.0", k=32, compression=0)
STAMP = Stamp(100, 5, 6)


def plot(number: int, plot_class: PlotClass = C7, made: int = 202611, plots: int = 1) -> Entry:
    return Entry(plot_class, plots, number.to_bytes(32, "big"), 0, made)


FAULT = Entry(reason="empty")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "inventory.sqlite3"


@pytest.fixture
def store(file: Path) -> InventoryStore:
    return InventoryStore(file)


def test_sums_are_kept_by_class_and_month(store: InventoryStore) -> None:
    store.put("/d/0", [(b"a", STAMP, plot(1)), (b"b", STAMP, plot(2)), (b"c", STAMP, plot(3, made=202610))])
    store.put("/d/0", [(b"d", STAMP, FAULT)])
    store.put("/d/1", [(b"a", Stamp(7, 5, 6), plot(4, PLAIN, plots=32))])
    assert store.tallies() == {
        "/d/0": DriveTally({(C7, 202611): Sum(2, 2, 200), (C7, 202610): Sum(1, 1, 100)}, Sum(0, 1, 100)),
        "/d/1": DriveTally({(PLAIN, 202611): Sum(32, 1, 7)}, Sum()),
    }


def test_sums_of_all_drives_fit_into_a_snapshot_whatever_their_files_claim() -> None:
    plots = {(PlotClass(format=f"v{number}"), 0): Sum(1, 1, MOST) for number in range(3)}
    sums = summed([DriveTally(plots, Sum(0, 1, MOST))] * 2, 0, 8, 8, most=1)
    assert sums.others is not None
    assert [one.bytes for one in (*sums.classes, sums.others)] == [MOST_SPACE_BYTES, MOST_SPACE_BYTES]
    assert sums.fault_bytes == MOST_SPACE_BYTES


def test_a_file_that_is_read_again_replaces_what_was_known_of_it(store: InventoryStore) -> None:
    store.put("/d/0", [(b"a", STAMP, plot(1)), (b"b", STAMP, FAULT)])
    store.put("/d/0", [(b"a", Stamp(50, 6, 6), FAULT), (b"b", Stamp(200, 6, 6), plot(2, PLAIN))])
    assert store.tallies() == {"/d/0": DriveTally({(PLAIN, 202611): Sum(1, 1, 200)}, Sum(0, 1, 50))}
    assert store.known("/d/0") == {b"a": Stamp(50, 6, 6), b"b": Stamp(200, 6, 6)}


def test_a_file_that_is_gone_does_not_count(store: InventoryStore) -> None:
    store.put("/d/0", [(b"a", STAMP, plot(1)), (b"b", STAMP, FAULT), (b"c", STAMP, plot(2))])
    store.remove("/d/0", [b"a", b"b", b"never there"])
    assert store.tallies() == {"/d/0": DriveTally({(C7, 202611): Sum(1, 1, 100)}, Sum())}
    assert store.known("/d/0") == {b"c": STAMP}


def test_a_drive_that_is_not_configured_any_more_is_forgotten(file: Path, store: InventoryStore) -> None:
    for drive in ("/d/0", "/d/1"):
        store.put(drive, [(b"a", STAMP, plot(1))])
    store.keep_only(["/d/1", "/d/2"])
    assert (store.known("/d/0"), list(store.tallies())) == ({}, ["/d/1"])
    assert store.duplicates(["/d/0", "/d/1"]) == 0
    connection = sqlite3.connect(file)
    assert connection.execute("SELECT count(*) FROM files").fetchone() == (1,)
    connection.close()


def test_a_restart_forgets_nothing(file: Path, store: InventoryStore) -> None:
    store.put("/d/0", [(b"a", STAMP, plot(1)), (b"b\xff", STAMP, FAULT)])
    store.put("/d/1", [(b"a", STAMP, plot(1, PLAIN, plots=9))])
    before = store.tallies()
    store.close()
    again = InventoryStore(file)
    assert (again.tallies(), again.known("/d/0")) == (before, {b"a": STAMP, b"b\xff": STAMP})
    again.put("/d/0", [(b"a", STAMP, plot(1, PLAIN))])
    assert again.tallies()["/d/0"].plots == {(PLAIN, 202611): Sum(1, 1, 100)}


def test_a_write_that_fails_changes_nothing(store: InventoryStore) -> None:
    store.put("/d/0", [(b"a", STAMP, plot(1))])
    before = store.tallies()
    too_large = Stamp(1 << 70, 1, 1)
    with pytest.raises(OverflowError):
        store.put("/d/new", [(b"b", STAMP, plot(2, PLAIN)), (b"c", too_large, plot(3))])
    assert (store.tallies(), store.known("/d/new")) == (before, {})
    store.put("/d/new", [(b"b", STAMP, plot(2, PLAIN))])
    assert store.tallies()["/d/new"].total == Sum(1, 1, 100)


def damage(file: Path) -> None:
    file.write_bytes(os.urandom(file.stat().st_size))


def damage_a_page(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    file.write_bytes(content)


def from_another_release(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def with_unknown_classes(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("UPDATE classes SET text = '[]'")
    connection.commit()
    connection.close()


def with_sizes_whose_sum_has_more_than_64_bits(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("INSERT INTO files SELECT drive, x'7a', (1 << 62) + (1 << 61), mtime_ns, inode, class,"
                       " made, plots, plot_id, meta_group, key, reason FROM files")  # fmt: skip
    connection.execute("UPDATE files SET size_bytes = (1 << 62) + (1 << 61)")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "spoil",
    [
        with_sizes_whose_sum_has_more_than_64_bits,
        damage,
        damage_a_page,
        from_another_release,
        with_unknown_classes,
    ],
)
def test_a_file_that_cannot_be_read_is_made_anew(file: Path, store: InventoryStore, spoil: object) -> None:
    store.put("/d/0", [(b"a", STAMP, plot(1))])
    store.close()
    spoil(file)  # type: ignore[operator]
    journal = file.with_name(f"{file.name}-journal")
    journal.write_bytes(b"of the damaged file")
    again = open_or_rebuild(file, InventoryStore)
    assert not journal.exists()
    assert (again.tallies(), again.known("/d/0")) == ({}, {})
    again.put("/d/0", [(b"a", STAMP, plot(1))])
    assert again.tallies()["/d/0"].total == Sum(1, 1, 100)


def test_a_file_that_is_locked_is_kept(file: Path, store: InventoryStore) -> None:
    store.put("/d/0", [(b"a", STAMP, plot(1))])
    store.close()

    def locked(_: Path) -> InventoryStore:
        raise sqlite3.OperationalError("database is locked")

    with pytest.raises(sqlite3.OperationalError):
        open_or_rebuild(file, locked)
    assert InventoryStore(file).known("/d/0") == {b"a": STAMP}


def test_pages_follow_each_other_and_select(store: InventoryStore) -> None:
    store.put("/d/1", [(name, STAMP, plot(1)) for name in (b"b", b"a")])
    store.put("/d/0", [(b"c", STAMP, plot(2)), (b"d", STAMP, FAULT)])
    store.put("/d/2", [(b"e", STAMP, FAULT)])
    found: list[tuple[str, bytes]] = []
    after = None
    while page := store.page(["/d/0", "/d/1"], False, after, 2):
        found += [(file.drive, file.name) for file in page]
        after = (page[-1].number, page[-1].name)
    assert found == [("/d/1", b"a"), ("/d/1", b"b"), ("/d/0", b"c")]
    faults = store.page(["/d/0", "/d/1"], True, None, 10)
    assert [(file.drive, file.name, file.entry.reason) for file in faults] == [("/d/0", b"d", "empty")]


def test_plots_that_are_there_twice_are_found_by_their_keys(store: InventoryStore) -> None:
    store.put("/d/0", [(b"a", STAMP, plot(1)), (b"b", STAMP, plot(1)), (b"c", STAMP, plot(2))])
    store.put("/d/1", [(b"d", STAMP, plot(2)), (b"e", STAMP, plot(3)), (b"f", STAMP, FAULT)])
    both = ["/d/0", "/d/1"]
    assert (store.duplicates(both), store.duplicates(["/d/0"]), store.duplicates(["/d/1"])) == (2, 1, 0)
    keys = store.keys(both, 0, 1 << 48, 100)
    assert keys == sorted(keys)
    assert len(keys) == 5
    half = keys[2]
    assert store.keys(both, 0, half, 100) + store.keys(both, half, 1 << 48, 100) == keys
    assert store.keys(both, 0, 1 << 48, 3) == keys[:3]
    key = plot(2).key
    assert key is not None
    assert [(file.drive, file.name) for file in store.copies(both, [key, 5], 100)] == [
        ("/d/0", b"c"),
        ("/d/1", b"d"),
    ]
    assert store.copies(both, [], 100) == []


def test_a_name_is_never_sql(store: InventoryStore) -> None:
    name = b"'; DROP TABLE files; --.plot"
    store.put("/d/'0", [(name, STAMP, plot(1))])
    assert [file.name for file in store.page(["/d/'0", "/d/unknown"], False, None, 5)] == [name]
