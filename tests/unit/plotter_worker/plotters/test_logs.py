"""What is read out of each plotter's log."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from common.phase import Phase
from plotter_worker.plotters.base import CommandLine, Progress
from plotter_worker.plotters.registry import plotter_for, recognise_log

Log = Callable[[str], bytes]

# log -> plotter, plots of the job
WHOLE = {
    "chia-k21": ("chia", 1),
    "chiapos-k18": ("chiapos", 1),
    "chiapos-k18-nobitfield": ("chiapos", 1),
    "chiapos-k18-n2-other-filesystem": ("chiapos", 2),
    "madmax-k18": ("madmax", 1),
    "madmax-k18-n2": ("madmax", 2),
    "madmax-same-directory": ("madmax", 1),
    "gigahorse-gpu": ("madmax", -1),
    "bladebit-ramplot-1": ("bladebit", 1),
    "bladebit-ramplot-3": ("bladebit", 1),
    "bladebit-diskplot": ("bladebit", 1),
    "bladebit-cudaplot": ("bladebit", 1),
}


def words(text: str) -> list[str]:
    return text.split()


def read(data: bytes, plotter: str, n: int = 1) -> Progress:
    reader = plotter_for(plotter).reader(CommandLine(plotter, n=n, cwd="/farm"))
    reader.feed(data)
    return reader.progress


def steps(data: bytes, plotter: str, n: int = 1) -> list[Progress]:
    """Progress after each line."""
    reader = plotter_for(plotter).reader(CommandLine(plotter, n=n, cwd="/farm"))
    seen = []
    for line in data.splitlines(keepends=True):
        reader.feed(line)
        seen.append(reader.progress)
    return seen


def phases(data: bytes, plotter: str) -> list[str]:
    """Phases in the order in which they are reached."""
    return list(dict.fromkeys(str(each.phase) for each in steps(data, plotter)))


@pytest.mark.parametrize(("name", "plotter", "n"), [(name, *of) for name, of in WHOLE.items()])
def test_a_whole_log_ends_finished_with_every_plot_and_its_times(
    log: Log, name: str, plotter: str, n: int
) -> None:
    progress = read(log(name), plotter, n)
    assert progress.finished
    assert progress.percent == 100
    assert progress.proven
    assert progress.error is None
    assert progress.stalled is None
    assert len(progress.plots_done) == max(n, 1)
    for plot in progress.plots_done:
        assert plot.plot_id and len(plot.plot_id) == 64
        assert plot.path and plot.path.startswith("/") and plot.path.endswith(f"{plot.plot_id}.plot")
        assert plot.total_s
        assert plot.phase_times_s[1] > 0


@pytest.mark.parametrize(("name", "plotter", "n"), [(name, *of) for name, of in WHOLE.items()])
def test_percent_and_phase_never_go_back_within_a_plot(log: Log, name: str, plotter: str, n: int) -> None:
    before = Progress()
    for progress in steps(log(name), plotter, n):
        if progress.plot_id == before.plot_id:
            assert progress.percent >= before.percent
            assert progress.phase >= before.phase
        assert 0 <= progress.percent <= 100
        before = progress


@pytest.mark.parametrize(("name", "plotter", "n"), [(name, *of) for name, of in WHOLE.items()])
def test_no_log_is_finished_before_its_last_plot_has_its_name(
    log: Log, name: str, plotter: str, n: int
) -> None:
    for progress in steps(log(name), plotter, n):
        assert progress.finished == (len(progress.plots_done) == max(n, 1))


@pytest.mark.parametrize(("name", "plotter"), [(name, of[0]) for name, of in WHOLE.items()])
def test_a_log_tells_which_plotter_wrote_it(log: Log, name: str, plotter: str) -> None:
    found = recognise_log(log(name)[:8192])
    assert found is not None
    assert found.name == plotter


def test_an_empty_or_foreign_log_tells_of_no_plotter() -> None:
    assert recognise_log(b"") is None
    assert recognise_log(b"sending incremental file list\n") is None


def test_before_the_first_line_a_job_stands_at_0_0() -> None:
    progress = plotter_for("chia").reader().progress
    assert progress.phase == Phase(0, 0)
    assert progress.percent == 0
    assert not progress.proven


CHIA = words(
    "0:0 1:0 1:1 1:2 1:3 1:4 1:5 1:6 1:7 2:0 2:1 2:2 2:3 2:4 2:5 2:6 2:7 "
    "3:0 3:1 3:2 3:3 3:4 3:5 3:6 4:0 4:1 4:2 4:3 5:0 5:3"
)


# As 0.5.3 numbered them, so that tmpdir_stagger_phase_* means what it meant.
@pytest.mark.parametrize(
    ("name", "plotter", "expected"),
    [
        ("chiapos-k18", "chiapos", CHIA),
        ("chia-k21", "chia", CHIA),
        ("chiapos-k18-nobitfield", "chiapos", [phase for phase in CHIA if phase != "2:7"]),
        (
            "madmax-k18",
            "madmax",
            words(
                "0:0 1:1 1:2 1:3 1:4 1:5 1:6 1:7 2:1 2:2 2:3 2:4 2:5 2:6 2:7 "
                "3:0 3:1 3:2 3:3 3:4 3:5 3:6 4:0 4:1 4:2 5:0 5:1 5:2"
            ),
        ),
        (
            "bladebit-ramplot-1",
            "bladebit",
            words(
                "0:0 0:1 0:2 1:0 1:1 1:2 1:3 1:4 1:5 1:6 1:7 2:0 2:1 2:2 2:3 2:4 2:5 "
                "3:0 3:1 3:2 3:3 3:4 3:5 3:6 4:0 4:1 4:2 4:3 4:4 5:0 5:1 5:2"
            ),
        ),
        (
            "bladebit-diskplot",
            "bladebit",
            words(
                "0:0 0:1 0:2 1:0 1:1 1:2 1:3 1:4 1:5 1:6 1:7 2:0 2:2 2:3 2:4 2:5 2:6 "
                "3:0 3:1 3:2 3:3 3:4 3:5 3:6 3:7 5:0 5:1 5:2"
            ),
        ),
        (
            "bladebit-cudaplot",
            "bladebit",
            words(
                "0:0 0:1 0:2 1:1 1:2 1:3 1:4 1:5 1:6 1:7 2:0 2:2 2:3 2:4 2:5 "
                "3:0 3:2 3:3 3:4 3:5 3:6 3:7 5:0 5:1 5:2"
            ),
        ),
    ],
)
def test_phases_are_numbered_as_0_5_3_did(log: Log, name: str, plotter: str, expected: list[str]) -> None:
    assert phases(log(name), plotter) == expected


def test_chiapos_tells_ids_sizes_directories_and_times(log: Log) -> None:
    progress = read(log("chiapos-k18"), "chiapos")
    name = "plot-k18-2026-11-22-15-50-c3d36a2387f32cb8b88b6a5124df4b134dd000a9876ec57315744d896742857a"
    assert progress.plot_id == name[-64:]
    assert (progress.k, progress.tmp, progress.tmp2, progress.dst) == (
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
    assert reader.progress.tmp is None
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


def test_a_plot_made_where_it_belongs_is_done_unless_a_copy_begins(log: Log) -> None:
    data = log("madmax-same-directory")
    path = f"/mnt/t1/plot-k18-2026-11-22-11-35-{'a' * 64}.plot"
    assert read(data, "madmax").plots_done[0].path == path
    begun = read(data + f"Started copy to {path}\n".encode(), "madmax")
    assert not begun.finished
    assert begun.percent < 100
    assert read(data + f"Started copy to {path}\nRenamed final plot to {path}\n".encode(), "madmax").finished


def test_gigahorse_on_a_gpu_tells_level_destination_and_copy(log: Log) -> None:
    progress = read(log("gigahorse-gpu"), "madmax", n=-1)
    assert (progress.k, progress.compression) == (32, 7)
    assert (progress.tmp, progress.tmp2, progress.dst) == ("/mnt/t1", None, "/mnt/d2")
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
def test_bladebit_tells_level_and_directories(
    log: Log, name: str, level: int | None, tmp: str | None
) -> None:
    progress = read(log(name), "bladebit")
    assert (progress.k, progress.compression, progress.tmp, progress.dst) == (32, level, tmp, "/mnt/dst")


def test_bladebit_renames_with_a_bare_file_name_too(log: Log) -> None:
    data = log("bladebit-cudaplot")
    bare = data.replace(b".plot.tmp -> /mnt/dst/", b".plot.tmp -> ")
    assert read(bare, "bladebit").plots_done == read(data, "bladebit").plots_done


STALLED = [
    ("chiapos-tmp-full", "chiapos", 1, "Only wrote 155648 of 178651 bytes", "Computing table 3\n"),
    ("chiapos-dst-full", "chiapos", 1, "Could not copy", "Copied final file from \n"),
    ("bladebit-dst-full", "bladebit", 1, "No space left in plot", "Finished F1 in 2.75 seconds.\n"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "plotter", "n", "words", "goes_on"), STALLED)
def test_a_stalled_plotter_is_quoted_until_it_goes_on(
    log: Log, name: str, plotter: str, n: int, words: str, goes_on: str
) -> None:
    stalled = read(log(name), plotter, n)
    assert stalled.stalled and stalled.stalled.startswith(words)
    assert stalled.error is None
    assert not stalled.finished
    assert read(log(name) + b"\n", plotter, n).stalled == stalled.stalled
    assert read(log(name) + goes_on.encode(), plotter, n).stalled is None


def test_a_stalled_copy_of_madmax_stays_told_while_the_next_plot_goes_on(log: Log) -> None:
    data = log("madmax-dst-full")
    assert "No space left on device" in (read(data, "madmax", n=2).stalled or "")
    path = f"/mnt/dst/plot-k18-2026-11-22-11-35-{'a' * 64}.plot"
    done = data + f"Copy to {path} finished, took 9.5 sec, 1.6 MB/s avg.\n".encode()
    assert read(done, "madmax", n=2).stalled is None
    assert len(read(done, "madmax", n=2).plots_done) == 1


@pytest.mark.parametrize(
    ("name", "plotter", "error", "proven"),
    [
        ("chia-stripe-too-large", "chia", "Stripe size too large", False),
        ("chia-unknown-option", "chia", "No such option '--bogus'. Did you mean '--buckets'?", False),
        ("chiapos-unknown-option", "chiapos", "unrecognized arguments: --bogus", False),
        (
            "chia-no-keys",
            "chia",
            "RuntimeError: No keys, please run 'chia keys add', 'chia keys generate' "
            "or provide a public key with -f",
            False,
        ),
        (
            "chiapos-k-too-small",
            "chiapos",
            "If you are testing and you want to use smaller size please add the --override-k flag.",
            False,
        ),
        ("chiapos-crash", "chiapos", "Triggering bucket too early", True),
        (
            "madmax-tmp-full",
            "madmax",
            "thread failed with: fwrite() failed with: No space left on device",
            True,
        ),
        ("madmax-no-slash", "madmax", "Invalid tmpdir: /mnt/t1 (needs trailing '/' or '\\')", False),
        (
            "bladebit-fatal",
            "bladebit",
            "diskplot is currently disabled for compressed plotting due to a bug.",
            False,
        ),
    ],
)
def test_a_plotter_that_gives_up_is_quoted(
    log: Log, name: str, plotter: str, error: str, proven: bool
) -> None:
    progress = read(log(name), plotter)
    assert progress.error == error
    assert progress.proven is proven
    assert not progress.finished


@pytest.mark.parametrize(
    ("text", "plotter", "error"),
    [
        ("madmax plotter was not found.\n", "madmax", "madmax plotter was not found."),
        ("Bladebit was not found.\n", "bladebit", "Bladebit was not found."),
        ("Aborted!\n", "chia", "interrupted"),
        ("*** Panic!!! *** Fatal Error:  \n  Overran park buffer\n", "bladebit", "Overran park buffer"),
        ("[ERROR] Fatal Error:\n[ERROR] Failed to open plot file with error: 22\n", "bladebit",
         "Failed to open plot file with error: 22"),
        ("STDERR: Fatal Error:  \nSTDERR: A farmer public key must be specified.\n", "bladebit",
         "A farmer public key must be specified."),
        ("Error: no such thing\nTraceback (most recent call last):\n  File x\nValueError: y\n", "chia",
         "no such thing"),
    ],
)  # fmt: skip
def test_the_most_telling_words_are_kept(text: str, plotter: str, error: str) -> None:
    assert read(text.encode(), plotter).error == error


def test_what_chia_madmax_passes_on_is_read_like_madmax(log: Log) -> None:
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
def test_a_log_tells_with_which_version_and_settings_a_plot_was_made_and_when(
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
