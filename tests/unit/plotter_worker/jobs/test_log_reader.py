"""Logs as they are read for users on other machines."""

from __future__ import annotations

import os
import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.worker.pool import StopEvent, StopReason
from plotter_worker.jobs import log_reader
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.records import JobRecord
from plotter_worker.plotters.registry import plotter_for
from tests.support.paths import LOGS

CHIA = "chia-k21.log"


def whole(path: Path) -> str:
    """The log, piece by piece."""
    text, at = "", 0
    while not (piece := log_reader.read(path, at, None, 0)).ended:
        assert piece.offset_bytes > at
        text, at = text + piece.text, piece.offset_bytes
    return text + piece.text


def test_pieces_of_a_log_make_the_whole_of_it_whatever_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reader, "CHUNK_BYTES", 100)
    log = tmp_path / "a.log"
    for data in (
        (LOGS / CHIA).read_bytes(),
        b"",
        b"no end",
        b"\xff\xfe broken\n" * 20,
        b"x" * 1000,  # a line longer than a piece
        "größe ü\n".encode() * 50,
    ):
        log.write_bytes(data)
        assert whole(log) == data.decode("utf-8", errors="replace")


@pytest.mark.parametrize("chunk_bytes", [1, 7, 1 << 17])
@pytest.mark.parametrize("lines", [0, 1, 2, 3, 99])
@pytest.mark.parametrize("text", ["", "a\n", "a\nbb\nccc\n", "a\nbb\nno end", "\n\n\n"])
def test_the_last_lines_begin_where_a_person_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, lines: int, chunk_bytes: int
) -> None:
    monkeypatch.setattr(log_reader, "CHUNK_BYTES", chunk_bytes)
    log = tmp_path / "a.log"
    log.write_text(text, encoding="utf-8")
    counted = text.splitlines(keepends=True)
    assert text[log_reader.start_of_last_lines(log, lines) :] == "".join(
        counted[len(counted) - min(lines, len(counted)) :]
    )


def test_the_log_of_an_ended_plot_is_found_by_the_start_of_its_id_and_by_nothing_else_in_it(
    tmp_path: Path,
) -> None:
    ids = {}
    for name in (CHIA, "madmax-k18-n2.log", "chiapos-k18-n2-other-filesystem.log", "bladebit-ramplot-3.log"):
        shutil.copy(LOGS / name, tmp_path / name)
        for plot_id in log_reader._plots_in((LOGS / name).read_bytes()):
            ids[plot_id] = name
    assert len(ids) >= 6  # two of them make two plots each
    for plot_id, name in ids.items():
        found = dict(log_reader.find_ended(plot_id[:12], tmp_path))
        assert found == {plot_id: tmp_path / name}
    # The farmer's key stands in the logs as well.
    assert log_reader.find_ended("a010d140e7c43146", tmp_path) == []


def test_a_link_in_the_log_folder_leads_nowhere(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    outside = shutil.copy(LOGS / "madmax-k18.log", tmp_path)
    (plot_id,) = set(log_reader._plots_in(Path(outside).read_bytes()))
    (folder / "link.log").symlink_to(outside)
    assert log_reader.find_ended(plot_id[:12], folder) == []
    shutil.copy(outside, folder / "own.log")
    assert log_reader.find_ended(plot_id[:12], folder) == [(plot_id, folder / "own.log")]


def test_who_waits_for_the_next_line_keeps_no_worker_from_stopping(tmp_path: Path) -> None:
    log = tmp_path / "plot.log"
    log.touch()
    record = JobRecord(task_id="t", plotter="chia", ours=True, accepted_at=datetime.now(UTC), argv=())
    job, leaving, read = TrackedJob(record, plotter_for("chia"), None), StopEvent(), list[log_reader.Chunk]()
    reader = threading.Thread(
        target=lambda: read.append(log_reader.read(log, 0, job, 25, leaving)), daemon=True
    )
    reader.start()
    reader.join(0.2)
    assert reader.is_alive()
    leaving.set(StopReason.SHUTDOWN)
    reader.join(5)
    assert read == [log_reader.Chunk("", 0, ended=False)]


@pytest.mark.timeout(20)
def test_a_pipe_in_the_place_of_a_log_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "plot.log")
    for read in (
        lambda: log_reader.read(tmp_path / "plot.log", 0, None, 0),
        lambda: log_reader.start_of_last_lines(tmp_path / "plot.log", 10),
    ):
        with pytest.raises(OSError, match="not a regular file"):
            read()
