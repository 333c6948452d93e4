"""What each plotter's log tells of its plots, one by one."""

from __future__ import annotations

import pytest

from common.model.phase import Phase
from plotter_worker.plotters.registry import plotter_for
from tests.unit.plotter_worker.plotters.reading import Log, read, steps


def test_a_chiapos_log_has_ids_sizes_directories_and_times(log: Log) -> None:
    progress = read(log("chiapos-k18"), "chiapos")
    name = "plot-k18-2026-11-22-15-50-c3d36a2387f32cb8b88b6a5124df4b134dd000a9876ec57315744d896742857a"
    assert progress.plot_id == name[-64:]
    made = progress.details
    assert (made.k, made.tmp, made.tmp2, made.dst) == (
        18,
        "/farm/t1",
        "/farm/t2",
        "/farm/dst",
    )
    assert progress.final == f"/farm/dst/{name}.plot"
    assert dict(progress.phase_times_s) == {1: 0.508, 2: 0.058, 3: 0.218, 4: 0.014}
    assert progress.total_s == 0.799
    assert progress.copy_s is None


def test_relative_directories_are_unknown_without_a_working_directory(log: Log) -> None:
    reader = plotter_for("chiapos").reader()
    reader.feed(log("chiapos-k18"))
    assert reader.progress.details.tmp is None
    assert reader.progress.finished
    assert reader.progress.plots_done[0].path is None


def test_chiapos_percent_is_its_own_and_the_same_without_bitfield(log: Log) -> None:
    for name in ("chiapos-k18", "chiapos-k18-nobitfield"):
        at = {str(each.phase): each.percent for each in reversed(steps(log(name), "chiapos"))}
        last = {str(each.phase): each.percent for each in steps(log(name), "chiapos")}
        assert (at["1:1"], last["1:7"], last["2:3"], last["3:6"]) == (1, 42, 51, 98)


def test_a_second_plot_in_the_same_log_starts_afresh(log: Log) -> None:
    seen = steps(log("chiapos-k18-n2-other-filesystem"), "chiapos", n=2)
    after = next(each for each in seen if each.plots_done and each.percent < 100)
    assert after.phase == Phase(0, 0)
    assert after.percent == 0
    assert after.plot_id is None
    assert not after.phase_times_s
    assert not after.finished
    assert [plot.copy_s for plot in seen[-1].plots_done] == [0.001, 0.001]


def test_madmax_copies_one_plot_while_it_makes_the_next(log: Log) -> None:
    seen = steps(log("madmax-k18-n2"), "madmax", n=2)
    first_done = next(each for each in seen if each.plots_done)
    assert first_done.plots_done[0].plot_id == "a" * 64
    assert first_done.plots_done[0].copy_s == 2.5
    assert first_done.plot_id == "b" * 64
    assert first_done.phase == Phase(1, 4)
    assert not first_done.finished
    assert seen[-1].plots_done[0].phase_times_s[1] == 0.61
    assert seen[-1].plots_done[1].phase_times_s[1] == 0.62


def test_madmax_with_several_plots_stops_after_the_current_one_when_asked_to(log: Log) -> None:
    asked_to = b"\n**  The crafting of plots will stop after the creation and copy of the current plot.  **\n"
    data = log("madmax-k18").replace(b"out of 1", b"out of 5")
    assert not read(data, "madmax", n=5).finished
    assert read(data.replace(b"Phase 1 took", asked_to + b"Phase 1 took"), "madmax", n=5).finished


def test_a_plot_made_in_dst_is_done_unless_a_copy_begins(log: Log) -> None:
    data = log("madmax-same-directory")
    path = f"/mnt/t1/plot-k18-2026-11-22-11-35-{'a' * 64}.plot"
    assert read(data, "madmax").plots_done[0].path == path
    begun = read(data + f"Started copy to {path}\n".encode(), "madmax")
    assert not begun.finished
    assert begun.percent < 100
    assert read(data + f"Started copy to {path}\nRenamed final plot to {path}\n".encode(), "madmax").finished


def test_a_gigahorse_log_has_level_destination_and_copy(log: Log) -> None:
    progress = read(log("gigahorse-gpu"), "madmax", n=-1)
    made = progress.details
    assert (made.k, made.compression) == (32, 7)
    assert (made.tmp, made.tmp2, made.dst) == ("/mnt/t1", None, "/mnt/d2")
    assert progress.copy_s == 299.365


@pytest.mark.parametrize(
    ("name", "level", "tmp"),
    [
        ("bladebit-ramplot-1", None, None),
        ("bladebit-ramplot-3", None, None),
        ("bladebit-diskplot", None, "/mnt/t1"),
        ("bladebit-cudaplot", 7, None),
    ],
)
def test_a_bladebit_log_has_level_and_directories(
    log: Log, name: str, level: int | None, tmp: str | None
) -> None:
    progress = read(log(name), "bladebit")
    made = progress.details
    assert (made.k, made.compression, made.tmp, made.dst) == (32, level, tmp, "/mnt/dst")


def test_bladebit_renames_with_a_bare_file_name_too(log: Log) -> None:
    data = log("bladebit-cudaplot")
    bare = data.replace(b".plot.tmp -> /mnt/dst/", b".plot.tmp -> ")
    assert read(bare, "bladebit").plots_done == read(data, "bladebit").plots_done


def test_output_of_chia_plotters_madmax_is_read_like_madmax(log: Log) -> None:
    data = log("madmax-k18").replace(b"\nPhase 1", b"\nProgress update: 0.42\nSTDERR: noise\nPhase 1")
    assert read(data, "madmax") == read(log("madmax-k18"), "madmax")


@pytest.mark.parametrize(
    ("name", "plotter", "version", "threads", "buckets", "buffer_mib", "bitfield", "begun"),
    [
        ("chia-k21", "chia", "2.7.5", 2, 16, 3389, True, "2026-11-22 15:50:43"),
        ("chiapos-k18-nobitfield", "chiapos", None, 2, 16, 200, False, "2026-11-22 15:50:39"),
        ("madmax-k18-n2", "madmax", "5b5bd68", 2, 16, None, None, "2026-11-22 11:35:02"),
        ("gigahorse-gpu", "madmax", "29c814d", None, None, None, None, "2023-05-07 16:58:26"),
        ("bladebit-diskplot", "bladebit", "3.1.1", 2, 256, None, None, "2026-11-22 12:00:00"),
    ],
)
def test_a_log_has_version_settings_and_time_of_a_plot(
    log: Log,
    name: str,
    plotter: str,
    version: str | None,
    threads: int | None,
    buckets: int | None,
    buffer_mib: int | None,
    bitfield: bool | None,
    begun: str,
) -> None:
    details = read(log(name), plotter, n=2).plots_done[-1].details
    assert (details.version, details.threads, details.buckets) == (version, threads, buckets)
    assert (details.buffer_mib, details.bitfield, str(details.begun)) == (buffer_mib, bitfield, begun)
