"""How long a harvester's inventory takes: to read its drives, and to answer.

    python -m benchmarks.inventory [--quick] [--files 20000] [--stored 2000000] [--rounds 5]

Two parts. A drive with real directory entries, each a small file with a real plot's header: it is listed
and read by the code that a harvester runs, in a process of its own, with the pauses that it leaves to others.
And a store with many more entries on twenty drives, which is asked as the verbs ask.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.figures import Report
from common.model.inventory import KEY_BITS, MOST_KEYS
from common.model.plot_class import PlotClass
from harvester_worker.inventory.entry import Entry, Stamp
from harvester_worker.inventory.reading import DriveReader, listed
from harvester_worker.inventory.store import InventoryStore
from harvester_worker.inventory.tally import summed
from tests.support.plots import write_plot

_DRIVES = 20
_FILE_BYTES = 4096
_PUT_AT_ONCE = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="500 files, 20,000 stored, 1 round")
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--stored", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--reader", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.reader:
        _read_in_this_process(options.reader)
        return
    if options.quick:
        options.files, options.stored, options.rounds = 500, 20_000, 1
    report = Report("inventory", "How long an inventory of the drives takes, and its answers")
    report.note(
        "The files have 4 KiB and are in the page cache of an SSD: a hard drive adds a seek, some 10 ms, for "
        "each file of a first reading."
    )
    report.note("Half of the first reading is pauses, which leave the drive to others.")
    report.note(f"The stored plots lie on {_DRIVES} drives in ten classes and sixty months.")
    with tempfile.TemporaryDirectory(prefix="plotman-bench-") as folder:
        _reading(report, Path(folder), options.files, options.rounds)
        _answers(report, Path(folder), options.stored, options.rounds)
    report.show()
    report.save(keep=options.quick)


def _reading(report: Report, folder: Path, files: int, rounds: int) -> None:
    drive = folder / "drive"
    drive.mkdir()
    for _ in range(files):
        write_plot(drive, _FILE_BYTES)
    runs = []
    for _ in range(rounds):
        argv = [sys.executable, "-m", "benchmarks.inventory", "--reader", str(drive)]
        runs.append(json.loads(subprocess.run(argv, capture_output=True, check=True).stdout))
        (folder / "read.sqlite3").unlink()
    at = f"{files:,} files"
    for name, key, unit in (
        ("listing", "list_s", "s"),
        ("first reading", "first_s", "s"),
        ("first reading, processor", "first_cpu_s", "s"),
        ("second reading", "second_s", "s"),
        ("memory, more than before", "grown_mib", "MiB"),
    ):
        report.add(name, at, unit, [run[key] for run in runs])


def _read_in_this_process(drive: Path) -> None:
    """Print the times of a first and a second reading, and by how much the process grew at most."""
    store = InventoryStore(drive.parent / "read.sqlite3")
    status = drive.stat()
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def read() -> None:
        reader = DriveReader(
            str(drive), store, threading.Lock(), threading.Event(), lambda: False, lambda *_: None
        )
        reader.run((status.st_dev, status.st_ino))

    list_s, _ = _timed(lambda: listed(str(drive)))
    first_s, first_cpu_s = _timed(read)
    second_s, _ = _timed(read)
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) / 1024
    found = {"list_s": list_s, "first_s": first_s, "first_cpu_s": first_cpu_s, "second_s": second_s}
    sys.stdout.write(json.dumps(found | {"grown_mib": grown_mib}))


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and seconds of the processor."""
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began_s, time.process_time() - began_cpu_s


def _answers(report: Report, folder: Path, stored: int, rounds: int) -> None:
    path = folder / "stored.sqlite3"
    store = InventoryStore(path)
    drives = [f"/mnt/farm/{number:02}" for number in range(_DRIVES)]
    for number, drive in enumerate(drives):
        rows = list(_rows(number, stored // _DRIVES))
        for begin in range(0, len(rows), _PUT_AT_ONCE):
            store.put(drive, rows[begin : begin + _PUT_AT_ONCE])
    at = f"{stored:,} plots"
    slice_end = (1 << KEY_BITS) // (2 * stored // MOST_KEYS + 1)
    page = store.page(drives, False, None, 1000)
    place = (page[-1].number, page[-1].name)
    questions: dict[str, Callable[[], object]] = {
        "sums": lambda: summed(store.tallies().values(), 0, 0, 0),
        "a page of 1,000 files": lambda: store.page(drives, False, place, 1000),
        "all faults": lambda: store.page(drives, True, None, 1000),
        "a slice of keys": lambda: store.keys(drives, 0, slice_end, MOST_KEYS),
        "number of duplicates": lambda: store.duplicates(drives),
    }
    for name, question in questions.items():
        report.add(name, at, "ms", [_timed(question)[0] * 1000 for _ in range(rounds)])
    report.add("store", at, "MB", [path.stat().st_size / 1e6])
    store.close()
    opening_s = []
    for _ in range(rounds):
        opening_s.append(_timed(lambda: InventoryStore(path))[0])
    report.add("opening it at start", at, "s", opening_s)


def _rows(drive: int, count: int) -> Iterator[tuple[bytes, Stamp, Entry]]:
    classes = [PlotClass(format="bladebit 2", k=32, compression=level) for level in range(10)]
    for number in range(count):
        plot_id = secrets.token_bytes(32)
        made = 202101 + number % 60 // 12 * 100 + number % 12
        name = f"plot-k32-c07-{made // 100}-{made % 100:02}-01-00-00-{plot_id.hex()}.plot"
        stamp = Stamp(85_000_000_000, 1_700_000_000_000_000_000 + number, drive * count + number)
        yield os.fsencode(name), stamp, Entry(classes[number % 10], 1, plot_id, 0, made)


if __name__ == "__main__":
    main()
