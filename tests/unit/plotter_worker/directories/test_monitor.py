"""What of a look at a directory is worth a decision."""

from __future__ import annotations

import json
import os
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest
from inotify_simple import INotify, flags

from common.model.snapshot import DirState, FinishedPlot, PlotState
from common.system.probe import DirReport
from plotter_worker.directories import monitor
from plotter_worker.directories.monitor import DirectoryMonitor, DirectorySurvey, FileSeen, matters
from tests.support import formats
from tests.support.plots import write_plot
from tests.support.waiting import eventually

GB = 10**9
FORMER = DirectorySurvey(DirReport(DirState.OK, free_bytes=500 * GB, total_bytes=1000 * GB))
PLOT = FinishedPlot(
    path="/mnt/dst/plot", size_bytes=108 * GB, state=PlotState.READY, since=datetime(2026, 11, 22, tzinfo=UTC)
)


def with_room(free_bytes: int) -> DirectorySurvey:
    return replace(FORMER, report=replace(FORMER.report, free_bytes=free_bytes))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (with_room(499 * GB), False),
        (with_room(500 * GB + 5_000_000), False),
        (with_room(501 * GB), True),
        (replace(FORMER, files=(FileSeen("x.tmp", GB, GB),)), False),
        (replace(FORMER, plots=(PLOT,)), True),
        (replace(FORMER, report=DirReport(DirState.MISSING)), True),
        (replace(FORMER, report=DirReport(DirState.HANGING)), True),
    ],
    ids=["room shrinks", "a little room", "a gigabyte came free", "files", "a plot", "gone", "hanging"],
)
def test_beat_is_woken_by_what_may_let_a_plot_start_or_move_and_not_by_plots_that_grow(
    now: DirectorySurvey, expected: bool
) -> None:
    assert matters(FORMER, now) is expected


def test_a_directory_that_cannot_be_watched_is_looked_at_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(**_: object) -> NoReturn:
        raise OSError(24, "Too many open files")  # as beyond fs.inotify.max_user_instances

    monkeypatch.setattr(monitor, "INotify", no_more)
    write_plot(tmp_path)
    one = DirectoryMonitor(str(tmp_path), True, lambda _: None)
    one.start()
    eventually(lambda: one.survey.plots, "its plot is seen", 5)
    one.stop()


def test_a_plot_changed_in_the_future_is_ready_when_it_has_not_changed_for_as_long_as_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plot = write_plot(tmp_path)  # its header tells no size: only time tells that it is whole
    in_two_hours = time.time() + 7200
    os.utime(plot, (in_two_hours, in_two_hours))
    now_s = time.monotonic()
    monkeypatch.setattr(monitor, "time", SimpleNamespace(monotonic=lambda: now_s))
    one = DirectoryMonitor(str(tmp_path), True, lambda _: None)

    def seen() -> FinishedPlot:
        (found,) = one._take_survey().plots
        return found

    assert (seen().state, seen().reason) == (PlotState.OPEN, "changed 0 s ago, waiting for 10 s")
    now_s += 9
    assert seen().reason == "changed 9 s ago, waiting for 10 s"
    os.utime(plot, (in_two_hours + 1, in_two_hours + 1))
    assert seen().reason == "changed 0 s ago, waiting for 10 s"
    now_s += 10.1
    assert seen().state is PlotState.READY


def test_a_name_that_is_no_utf8_is_left_out_and_logged_once_and_all_else_is_seen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")).write_bytes(b"x")
    plot = write_plot(tmp_path)
    one = DirectoryMonitor(str(tmp_path), True, lambda _: None)
    one.start()
    try:
        eventually(lambda: one.survey.plots, "a look", 5)
        other = write_plot(tmp_path)
        eventually(lambda: len(one.survey.plots) == 2, "another look", 5)
    finally:
        one.stop()
    assert {seen.path for seen in one.survey.plots} == {str(plot), str(other)}
    assert {file.name for file in one.survey.files} == {plot.name, other.name}
    told = [record.message for record in caplog.records if "caf" in record.message]
    assert told == [f"{tmp_path}: 'caf\\udce9' is ignored, its name is not UTF-8"]


def test_all_that_people_take_for_plots_is_listed_with_why_it_is_left_alone(tmp_path: Path) -> None:
    drive = tmp_path / "drive"
    drive.mkdir()
    far = write_plot(drive)
    folder = tmp_path / "dst"
    folder.mkdir()
    plot = write_plot(folder)
    (folder / far.name).symlink_to(far)
    (folder / "broken.plot").symlink_to(tmp_path / "gone")
    (folder / "x.drplot").write_bytes(b"DrPlotter's")
    (folder / "y.PLOT").write_bytes(b"?")
    (folder / "notes.txt").symlink_to(far)
    os.link(plot, os.fsencode(folder) + b"/caf\xe9.plot")
    one = DirectoryMonitor(str(folder), True, lambda _: None)
    one.start()
    try:
        eventually(lambda: one.survey.plots, "a look", 5)
    finally:
        one.stop()
    seen = {found.path.removeprefix(f"{folder}/"): found for found in one.survey.plots}
    assert {name: found.state for name, found in seen.items()} == {
        plot.name: PlotState.READY,
        far.name: PlotState.FOREIGN,
        "broken.plot": PlotState.FOREIGN,
        "x.drplot": PlotState.FOREIGN,
        "y.PLOT": PlotState.FOREIGN,
        "caf\\xe9.plot": PlotState.MISNAMED,
    }
    assert seen[far.name].reason == f"a link to {far}"
    assert seen["caf\\xe9.plot"].plot_id == seen[plot.name].plot_id
    assert json.loads(one.survey.plots[0].model_dump_json())
    # A link is no file of a plotter's: nothing is reckoned, or deleted, by it.
    assert {found.name for found in one.survey.files} == {plot.name, "x.drplot", "y.PLOT"}


def test_files_of_xchplot2_that_hold_keys_are_no_plots_and_nobody_opens_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    plot_id = "0f" * 32
    secret = [
        f"xchplot2-job-{plot_id}.tsv", f"plot-k28-{plot_id}.gplot.partial.aB3dEf",
        f"plot-k28-{plot_id}.gplot.partial", f"plot-k28-{plot_id}.gplot.job.json",
    ]  # fmt: skip
    for name in secret:
        (tmp_path / name).write_bytes(b"PoS2\2 private key")
    group = formats.make_group(tmp_path)
    watched = INotify(nonblocking=True)
    watched.add_watch(str(tmp_path), flags.OPEN | flags.ACCESS)
    one = DirectoryMonitor(str(tmp_path), True, lambda _: None)
    one.start()
    try:
        eventually(lambda: one.survey.plots, "a look", 5)
    finally:
        one.stop()
    opened = {event.name for event in watched.read(timeout=0)} - {""}
    watched.close()
    (seen,) = one.survey.plots
    assert (seen.path, seen.state, seen.plot_id) == (str(group), PlotState.READY, group.stem[9:])
    assert opened == {group.name}
    assert not [record for record in caplog.records if any(name in record.getMessage() for name in secret)]


def test_a_plot_is_read_once_and_again_only_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = formats.make_group(tmp_path)
    judged: list[Path] = []
    judge = monitor.classify

    def counting(path: Path, now: datetime) -> object:
        judged.append(path)
        return judge(path, now)

    monkeypatch.setattr(monitor, "classify", counting)
    one = DirectoryMonitor(str(tmp_path), True, lambda _: None)
    states = [one._take_survey().plots[0].state for _ in range(3)]
    assert (states, len(judged)) == ([PlotState.READY] * 3, 1)
    status, content = group.stat(), group.read_bytes()
    group.rename(tmp_path / "was")
    group.write_bytes(bytes(len(content)))
    os.utime(group, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert one._take_survey().plots[0].state is PlotState.FOREIGN, "another file of the same size and time"
    assert len(judged) == 2


def test_many_plots_that_are_read_one_after_another_are_no_drive_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = time.monotonic()
    monkeypatch.setattr(monitor, "time", SimpleNamespace(monotonic=lambda: now_s, sleep=time.sleep))
    judge, states = monitor.classify, []
    one = DirectoryMonitor(str(tmp_path), True, lambda _: None)

    def slow(path: Path, now: datetime) -> object:
        nonlocal now_s
        now_s += monitor.LOOK_DEADLINE_S * 0.75
        states.append(one.survey.report.state)
        return judge(path, now)

    monkeypatch.setattr(monitor, "classify", slow)
    for _ in range(3):
        write_plot(tmp_path)
    one._busy_since = now_s  # as its thread notes before it surveys
    assert len(one._take_survey().plots) == 3
    assert len(states) == 3
    assert DirState.HANGING not in states


def test_one_file_that_cannot_be_judged_keeps_no_other_plot_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, good = write_plot(tmp_path), write_plot(tmp_path)
    judge = monitor.classify

    def fails(path: Path, now: datetime) -> object:
        if path == odd:
            raise ZeroDivisionError("division by zero")
        return judge(path, now)

    monkeypatch.setattr(monitor, "classify", fails)
    one = DirectoryMonitor(str(tmp_path), True, lambda _: None)
    one.start()
    try:
        eventually(lambda: len(one.survey.plots) == 2, "both are seen", 5)
    finally:
        one.stop()
    found = {plot.path: (plot.state, plot.reason) for plot in one.survey.plots}
    assert found[str(good)] == (PlotState.READY, None)
    assert found[str(odd)] == (PlotState.FOREIGN, "it cannot be judged: division by zero")


def test_a_sparse_file_larger_than_any_drive_keeps_no_other_plot_back() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:  # a tmpfs takes this size
        good = write_plot(Path(folder))
        odd = Path(folder, "z.plot")
        odd.touch()
        os.truncate(odd, (1 << 63) - 1)
        (plot, other) = DirectoryMonitor(folder, True, lambda _: None)._take_survey().plots
    assert (plot.path, plot.state) == (str(good), PlotState.READY)
    assert (other.path, other.state, other.reason) == (
        str(odd),
        PlotState.FOREIGN,
        "no plot has 4 EiB or more",
    )


@pytest.mark.parametrize("claimed_bytes", [-(1 << 63), (1 << 63) - 1])
def test_a_plot_that_does_not_fit_into_a_snapshot_keeps_no_other_back(
    claimed_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, good = sorted([write_plot(tmp_path), write_plot(tmp_path)])
    judge = monitor.classify

    def too_much(path: Path, now: datetime) -> object:
        state, *rest, size_bytes = judge(path, now)
        return state, *rest, claimed_bytes if path == odd else size_bytes

    monkeypatch.setattr(monitor, "classify", too_much)
    survey = DirectoryMonitor(str(tmp_path), True, lambda _: None)._take_survey()
    states = {plot.path: plot.state for plot in survey.plots}
    assert states == {str(good): PlotState.READY, str(odd): PlotState.FOREIGN}


def test_a_survey_that_fails_is_not_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = [RuntimeError("odd")]
    list_files = monitor._files

    def fails_once(path: str) -> object:
        if errors:
            raise errors.pop()
        return list_files(path)

    monkeypatch.setattr(monitor, "_files", fails_once)
    plot = write_plot(tmp_path)
    one = DirectoryMonitor(str(tmp_path), True, lambda _: None)
    one.start()
    try:
        eventually(lambda: not errors, "a look has failed", 5)
        one.wake()
        eventually(lambda: [seen.path for seen in one.survey.plots] == [str(plot)], "the next look", 5)
    finally:
        one.stop()
