"""What is read out of each plotter's log."""

from __future__ import annotations

import pytest

from common.model.phase import Phase
from plotter_worker.plotters.base import CommandLine, Progress
from plotter_worker.plotters.registry import plotter_for, recognise_log
from tests.unit.plotter_worker.plotters.reading import Log, read, steps

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


# The chia command line and a shell's redirection may lose the last newline; so may a full log drive.
@pytest.mark.parametrize(("name", "plotter", "n"), [(name, *of) for name, of in WHOLE.items()])
def test_a_last_line_without_its_newline_counts_once_the_process_has_ended(
    log: Log, name: str, plotter: str, n: int
) -> None:
    # A log that ends with the line that tells of the last plot, whatever a version prints after it.
    lines = log(name).splitlines(keepends=True)
    told = next(at for at, step in enumerate(steps(log(name), plotter, n)) if step.finished)
    reader = plotter_for(plotter).reader(CommandLine(plotter, n=n, cwd="/farm"))
    reader.feed(b"".join(lines[: told + 1]).removesuffix(b"\n"))
    assert not reader.progress.finished, "the process may still write on"
    reader.end()
    assert reader.progress.finished
    assert len(reader.progress.plots_done) == max(n, 1)
    ended = reader.progress
    reader.end()
    assert reader.progress == ended


@pytest.mark.parametrize(("name", "plotter", "n"), [(name, *of) for name, of in WHOLE.items()])
def test_no_line_is_judged_before_its_newline_and_each_as_with_it_once_the_process_has_ended(
    log: Log, name: str, plotter: str, n: int
) -> None:
    command = CommandLine(plotter, n=n, cwd="/farm")
    lines = log(name).splitlines(keepends=True)
    growing = plotter_for(plotter).reader(command)
    for at, after in enumerate(steps(log(name), plotter, n)):
        before = growing.progress
        growing.feed(lines[at].rstrip(b"\r\n"))
        assert growing.progress == before, lines[at]
        if after != before:
            ended = plotter_for(plotter).reader(command)
            ended.feed(b"".join(lines[: at + 1]).rstrip(b"\r\n"))
            ended.end()
            assert ended.progress == after, lines[at]
        growing.feed(b"\n")


@pytest.mark.parametrize(("name", "plotter", "n"), [(name, *of) for name, of in WHOLE.items()])
def test_a_last_line_that_breaks_off_names_no_plot_that_is_not_there(
    log: Log, name: str, plotter: str, n: int
) -> None:
    """A plotter that was killed, or whose log drive is full, breaks off anywhere in a line."""
    whole = read(log(name), plotter, n)
    lines = log(name).splitlines(keepends=True)
    told = next(at for at, step in enumerate(steps(log(name), plotter, n)) if step.finished)
    for length in range(len(lines[told])):
        reader = plotter_for(plotter).reader(CommandLine(plotter, n=n, cwd="/farm"))
        reader.feed(b"".join(lines[:told]) + lines[told][:length])
        reader.end()
        paths = {plot.path for plot in reader.progress.plots_done}
        assert paths <= {plot.path for plot in whole.plots_done}, lines[told][:length]


@pytest.mark.parametrize(("name", "plotter"), [(name, of[0]) for name, of in WHOLE.items()])
def test_the_plotter_of_a_log_is_recognised(log: Log, name: str, plotter: str) -> None:
    found = recognise_log(log(name)[:8192])
    assert found is not None
    assert found.name == plotter


def test_an_empty_or_foreign_log_has_no_plotter() -> None:
    assert recognise_log(b"") is None
    assert recognise_log(b"sending incremental file list\n") is None


def test_the_phase_is_0_0_before_the_first_line() -> None:
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
def test_phases_have_the_numbers_of_0_5_3(log: Log, name: str, plotter: str, expected: list[str]) -> None:
    assert phases(log(name), plotter) == expected


@pytest.mark.parametrize(
    ("name", "f1"),
    [
        ("bladebit-ramplot-1", b"Generating F1"),
        ("bladebit-ramplot-3", b"Generating F1"),
        ("bladebit-diskplot", b"Table 1: F1 generation"),
        ("bladebit-cudaplot", b"Generating F1"),
    ],
)
def test_bladebit_is_at_1_1_with_f1_and_at_5_2_at_its_end_which_0_5_3_did_not_tell_apart(
    log: Log, name: str, f1: bytes
) -> None:
    reached = dict(zip(log(name).splitlines(), steps(log(name), "bladebit"), strict=True))
    assert next(step for line, step in reached.items() if line.startswith(f1)).phase == Phase(1, 1)
    for step in reached.values():
        assert (step.phase == Phase(5, 2)) == step.finished
