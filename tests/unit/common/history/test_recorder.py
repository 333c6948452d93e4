"""A caller of the history neither waits nor fails, whatever happens to its file."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from common.history.recorder import Recorder
from common.history.rows import End, HistoryKind, PlotEnd
from common.history.store import HistoryFile
from tests.support.waiting import eventually

Make = Callable[..., Recorder]


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Make]:
    made: list[Recorder] = []

    def make(**options: object) -> Recorder:
        new = Recorder(tmp_path / "h.sqlite3", HistoryKind.PLOTS, lambda: None, retry_s=0.05, **options)  # type: ignore[arg-type]
        made.append(new)
        new.start()
        return new

    yield make
    for each in made:
        each.stop()


def plot(number: int, ago: timedelta = timedelta(0), **known: object) -> PlotEnd:
    values = {"end": End.DONE, "ended_at": datetime.now(UTC) - ago, "size_bytes": 100} | known
    return PlotEnd.model_validate(
        {"key": f"{number}", "host": "p", "task_id": f"{number}", "plotter": "chia"} | values
    )


def keys(path: Path) -> set[str]:
    try:
        file = HistoryFile(path, check=False)
    except sqlite3.Error:
        return set()
    rows = file.page(HistoryKind.PLOTS, 1000)
    file.close()
    return {row.key for row in rows}


def test_what_is_told_is_on_disk_when_it_stops_and_counted_after_the_next_start(
    recorder: Make, tmp_path: Path
) -> None:
    first = recorder()
    first.put(plot(1, timedelta(minutes=5)), plot(2, timedelta(hours=30)), plot(3, end=End.FAILED))
    first.put(plot(1, timedelta(minutes=5)))
    first.stop()
    assert keys(tmp_path / "h.sqlite3") == {"1", "2", "3"}
    second = recorder()
    tally = eventually(lambda: second.tally().week_count and second.tally(), "the tally is loaded")
    assert (tally.day_count, tally.day_bytes, tally.week_count, tally.week_bytes) == (1, 100, 2, 200)
    assert (sum(tally.hours_count), tally.hours_count[-1], tally.hours_bytes[-1]) == (1, 1, 100)


def test_a_locked_file_is_written_when_it_is_free_again(
    recorder: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.history.store._BUSY_S", 0.2)
    path = tmp_path / "h.sqlite3"
    HistoryFile(path).close()
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        keeper = recorder()
        keeper.put(plot(1))
        eventually(lambda: keeper.tally().day_count == 1, "it is counted all the same", 20)
        other.execute("COMMIT")
    eventually(lambda: keys(path) == {"1"}, "it is written", 20)


def test_a_file_that_becomes_damaged_is_begun_anew_and_nothing_told_since_is_lost(
    recorder: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "h.sqlite3"
    path.write_bytes(b"no database" * 1000)
    keeper = recorder()
    keeper.put(plot(1))
    eventually(lambda: keys(path) == {"1"}, "the new file has it")
    path.write_bytes(b"no database" * 1000)
    keeper.put(plot(2))
    eventually(lambda: keys(path) == {"2"}, "the next has what came since")
    assert caplog.text.count("a new one was created") == 2


def test_a_row_that_cannot_be_kept_keeps_no_other_out(recorder: Make, tmp_path: Path) -> None:
    keeper = recorder()

    def fails() -> tuple[PlotEnd, ...]:
        raise ValueError("a bug")

    keeper.later(fails)
    keeper.put(plot(1).model_copy(update={"size_bytes": 10**30}), plot(2))
    eventually(lambda: keys(tmp_path / "h.sqlite3") == {"2"}, "the other is kept")


def test_only_so_many_days_are_kept_if_so_wished(recorder: Make, tmp_path: Path) -> None:
    recorder().put(plot(1, timedelta(days=100)), plot(2, timedelta(days=10)))
    path = tmp_path / "h.sqlite3"
    eventually(lambda: keys(path) == {"1", "2"}, "both are there")
    recorder(keep=timedelta(days=30))
    eventually(lambda: keys(path) == {"2"}, "the old one is gone")


FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from pathlib import Path
from datetime import UTC, datetime
from common.history.recorder import Recorder
from common.history.rows import End, HistoryKind, PlotEnd
def plot(number):
    return PlotEnd(key=str(number), host="p", task_id=str(number), plotter="c", end=End.DONE,
                   ended_at=datetime.now(UTC), log="z" * 3000)
keeper = Recorder(Path(sys.argv[1]), HistoryKind.PLOTS, lambda: None, retry_s=0.05)
keeper.start()
keeper.put(plot(0))
input()
resource.setrlimit(resource.RLIMIT_FSIZE, (Path(sys.argv[1]).stat().st_size, resource.RLIM_INFINITY))
for number in range(1, 40):
    keeper.put(plot(number))
print(keeper.tally().day_count, flush=True)
input()
print(keeper.tally().day_count, flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
input()
keeper.stop()
"""


def test_on_a_full_disk_it_goes_on_counting_and_writes_when_there_is_room_again(tmp_path: Path) -> None:
    path = tmp_path / "h.sqlite3"
    assert resource.RLIMIT_FSIZE is not None  # a limit of the file's size stands for the full disk
    worker = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(FULL), path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert worker.stdin and worker.stdout and worker.stderr

    def go_on() -> None:
        assert worker.stdin
        worker.stdin.write("\n")
        worker.stdin.flush()

    eventually(lambda: keys(path) == {"0"}, "the first is there")
    go_on()
    worker.stdout.readline()
    complaint = worker.stderr.readline()
    assert "cannot be written now" in complaint and "plots are made and moved as usual" in complaint
    go_on()
    assert worker.stdout.readline() == "40\n"
    eventually(lambda: len(keys(path)) == 40, "all are written")
    go_on()
    assert worker.wait(timeout=10) == 0
