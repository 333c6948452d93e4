"""A history file keeps each end once, and outlives what befalls its machine."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from common.history.rows import End, HistoryKind, LandingEnd, PlotEnd, TransferEnd
from common.history.store import STEPS, HistoryFile, open_or_begin_anew, reading

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)


def plot(number: int, **known: object) -> PlotEnd:
    values = {"end": End.DONE, "ended_at": AT + timedelta(minutes=number), "plotter": "chia"} | known
    return PlotEnd.model_validate({"key": f"task{number}", "host": "p1", "task_id": f"task{number}"} | values)


def test_what_is_put_comes_back_as_it_was(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path / "h.sqlite3")
    rows = [
        plot(
            1,
            k=32,
            bitfield=False,
            phase1_s=1.5,
            steps_s={"1:1": 0.5, "end": 9.0},
            size_bytes=10**12,
            ordered_at=AT,
            reason=None,
        ),
        TransferEnd(key="t", host="p1", end=End.REFUSED, ended_at=AT, path="/d/x", reason="no plot"),
        LandingEnd(key="l", host="h1", end=End.LANDED, ended_at=AT, drive="/mnt/1"),
    ]
    file.put(rows)
    assert [file.page(kind, 9)[0] for kind in HistoryKind] == rows


def test_the_same_end_told_twice_is_one_row_that_knows_what_both_knew(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path / "h.sqlite3")
    file.put([plot(1, k=32)])
    file.put([plot(1, ended_at=AT + timedelta(hours=5), total_s=9.0, k=33)])
    assert file.page(HistoryKind.PLOTS, 9) == [plot(1, k=32, total_s=9.0)]


def test_another_end_takes_the_place_of_the_first(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path / "h.sqlite3")
    file.put([plot(1, k=32)])
    file.put([plot(1, end=End.FAILED, reason="dst is full", ended_at=AT + timedelta(hours=5))])
    assert file.page(HistoryKind.PLOTS, 9) == [
        plot(1, end=End.FAILED, k=32, reason="dst is full", ended_at=AT + timedelta(hours=5))
    ]


def test_pages_go_back_in_time_without_gap_or_double_also_where_times_are_equal(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path / "h.sqlite3")
    file.put(plot(number, ended_at=AT + timedelta(minutes=number // 3)) for number in range(10))
    seen: list[str] = []
    before = None
    while page := file.page(HistoryKind.PLOTS, 4, before=before):
        seen += [row.key for row in page]
        before = (page[-1].ended_at.isoformat(timespec="microseconds"), page[-1].key)
    assert len(seen) == len(set(seen)) == 10
    assert seen[0] == "task9"
    assert [row.key for row in file.page(HistoryKind.PLOTS, 99, since=AT + timedelta(minutes=3))] == ["task9"]
    assert file.page(HistoryKind.PLOTS, 99, ends=[End.FAILED]) == []


def test_what_is_older_than_the_days_to_keep_is_forgotten(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path / "h.sqlite3")
    file.put([plot(1), plot(600)])
    file.forget_before(AT + timedelta(hours=1))
    assert [row.key for row in file.page(HistoryKind.PLOTS, 9)] == ["task600"]
    assert file.oldest(HistoryKind.PLOTS) == AT + timedelta(hours=10)


def test_a_file_of_an_earlier_release_gets_the_columns_of_a_later_and_is_still_read_by_the_earlier(
    tmp_path: Path,
) -> None:
    path = tmp_path / "h.sqlite3"
    HistoryFile(path).put([plot(1)])
    later = (
        *STEPS,
        "ALTER TABLE plots ADD COLUMN strength INTEGER; CREATE INDEX s ON plots (strength)",
    )
    HistoryFile(path, later).put([plot(2)])
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT strength FROM plots").fetchall() == [(None,), (None,)]
    earlier = HistoryFile(path)
    earlier.put([plot(3)])
    assert len(earlier.page(HistoryKind.PLOTS, 9)) == 3


def test_a_file_without_it_gets_the_column_of_the_steps(tmp_path: Path) -> None:
    path = tmp_path / "h.sqlite3"
    HistoryFile(path, STEPS[:1])
    assert HistoryFile(path).page(HistoryKind.PLOTS, 9) == []
    HistoryFile(path).put([plot(1, steps_s={"end": 9.0})])
    assert HistoryFile(path).page(HistoryKind.PLOTS, 9) == [plot(1, steps_s={"end": 9.0})]


@pytest.mark.parametrize(
    ("said", "usable"),
    [
        pytest.param("{", None, id="no JSON"),
        pytest.param("[" * 100_000, None, id="deep"),
        pytest.param([1], None, id="no table"),
        pytest.param({str(number): 1.0 for number in range(65)}, None, id="many"),
        pytest.param({"1:1": 1e300, "2:1": -1, "3:1": "x", "4:1": True, "end": 5}, {"end": 5.0}, id="values"),
        pytest.param({"a b": 1, "1:1:1": 1, "999:1": 1, "\u0661:1": 1, "1:1": 1}, {"1:1": 1.0}, id="names"),
    ],
)
def test_steps_that_cannot_be_are_left_out(said: object, usable: dict[str, float] | None) -> None:
    assert plot(1, steps_s=said).steps_s == usable


def test_a_step_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "h.sqlite3"
    HistoryFile(path).put([plot(1)])
    with pytest.raises(sqlite3.OperationalError):
        HistoryFile(path, (*STEPS, "ALTER TABLE plots ADD COLUMN a INTEGER; nonsense"))
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(STEPS),)
        assert "a" not in [column[1] for column in connection.execute("PRAGMA table_info(plots)")]


WRITER = """
import sys
from pathlib import Path
from datetime import UTC, datetime
from common.history.rows import End, PlotEnd
from common.history.store import HistoryFile
file = HistoryFile(Path(sys.argv[1]))
number = int(sys.argv[2])
while True:
    key = str(number)
    now = datetime.now(UTC)
    told = PlotEnd(key=key, host="p", task_id=key, plotter="c", end=End.DONE, ended_at=now, log="x" * 9000)
    file.put([told])
    print(number, flush=True)
    number += 1
"""


def test_a_writer_killed_in_the_midst_of_writing_loses_nothing_that_it_had_kept(tmp_path: Path) -> None:
    path = tmp_path / "h.sqlite3"
    kept = 0
    for _ in range(4):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, path, str(kept)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for line in writer.stdout:
            kept = int(line) + 1
            if kept % 13 == 12:
                os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        with reading(path) as file:
            assert file is not None
            known = {row.key for row in file.page(HistoryKind.PLOTS, 10_000)}
        assert known >= {str(number) for number in range(kept)}
        assert len(known) <= kept + 1
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("damage", ["no database", "damaged within", "empty"])
def test_a_damaged_file_is_set_aside_and_begun_anew(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "h.sqlite3"
    file = HistoryFile(path)
    file.put(plot(number, log="y" * 2000) for number in range(200))
    file.close()
    whole = path.read_bytes()
    if damage == "no database":
        path.write_bytes(b"\0" * 8192)
    elif damage == "damaged within":
        path.write_bytes(whole[:8192] + os.urandom(100_000) + whole[108_192:])
    else:
        path.write_bytes(b"")
    path.with_name("h.sqlite3-journal").write_bytes(b"")
    anew = open_or_begin_anew(path)
    assert anew.page(HistoryKind.PLOTS, 9) == []
    anew.put([plot(1)])
    if damage != "empty":  # SQLite takes an empty file for a new one
        assert [each.name for each in tmp_path.glob("h.sqlite3.broken-*[0-9]")], "it is kept for a look"
        assert "is damaged" in caplog.text and "a new one was created" in caplog.text


def test_a_reader_finds_nothing_where_nothing_was_written_and_makes_no_file(tmp_path: Path) -> None:
    with reading(tmp_path / "h.sqlite3") as file:
        assert file is None
    assert not list(tmp_path.iterdir())
