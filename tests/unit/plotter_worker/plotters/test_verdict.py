"""How the end of a job is judged."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from plotter_worker.plotters.base import CommandLine
from plotter_worker.plotters.log_parser import LogReader
from plotter_worker.plotters.registry import plotter_for
from plotter_worker.plotters.verdict import Failure, Success, judge

Log = Callable[[str], bytes]


def reader(data: bytes, plotter: str = "chiapos", n: int = 1) -> LogReader:
    log = plotter_for(plotter).reader(CommandLine(plotter, n=n, cwd="/farm"))
    log.feed(data)
    return log


def there(path: str) -> bool:
    return True


def missing(path: str) -> bool:
    return False


def unknown(path: str) -> None:
    return None


def until(data: bytes, words: bytes) -> bytes:
    return data[: data.index(words)]


@pytest.mark.parametrize("exit_code", [0, 1, None, -2])
def test_a_finished_log_is_a_success_with_every_exit_code(log: Log, exit_code: int | None) -> None:
    for exists in (there, unknown):
        verdict = judge(reader(log("chiapos-k18") + b"Aborted!\n"), exit_code, exists)
        assert isinstance(verdict, Success)
        assert len(verdict.plots) == 1


def test_a_finished_log_without_its_plot_file_is_a_failure(log: Log) -> None:
    verdict = judge(reader(log("chiapos-k18")), 0, missing)
    assert isinstance(verdict, Failure)
    assert "no such file" in verdict.reason
    assert verdict.plots == ()


def test_a_last_line_without_newline_counts_if_the_file_may_have_moved(log: Log) -> None:
    whole = until(log("chiapos-k18"), b"Renamed final file")
    last = log("chiapos-k18")[len(whole) :].partition(b"\n")[0]
    assert isinstance(judge(reader(whole + last), 0, unknown), Success)
    assert isinstance(judge(reader(whole + last[:-9]), 0, unknown), Failure)


def test_a_plot_file_counts_though_the_log_was_cut_short(log: Log) -> None:
    verdict = judge(reader(until(log("chiapos-k18"), b"Renamed final file")), None, there)
    assert isinstance(verdict, Success)
    assert verdict.plots[0].path and verdict.plots[0].path.startswith("/farm/dst/plot-k18-")


@pytest.mark.parametrize(
    ("name", "plotter", "exit_code", "reason"),
    [
        ("chiapos-k-too-small", "chiapos", 0, "The plotter gave up before phase 1: If you are testing"),
        ("chia-stripe-too-large", "chia", 1, "The plotter gave up before phase 1: Stripe size too large"),
        ("chiapos-crash", "chiapos", -6, "The plotter gave up in phase 1:2: Triggering bucket too early"),
        ("chiapos-tmp-full", "chiapos", -9, "The plotter was ended by SIGKILL while it waited: Only wrote"),
        ("chiapos-dst-full", "chiapos", -15, "The plotter was ended by SIGTERM while it waited: Could not"),
        ("madmax-tmp-full", "madmax", 134, "The plotter gave up in phase 1:2: thread failed with"),
    ],
)  # fmt: skip
def test_a_failure_quotes_the_plotter(log: Log, name: str, plotter: str, exit_code: int, reason: str) -> None:
    verdict = judge(reader(log(name), plotter), exit_code, missing)
    assert isinstance(verdict, Failure)
    assert verdict.reason.startswith(reason)
    assert verdict.tail
    assert len(verdict.tail.splitlines()) <= 15


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [
        (-15, "was ended by SIGTERM"),
        (134, "was ended by SIGABRT"),
        (0, "exited with 0"),
        (254, "exited with 254"),
        (None, "ended (exit code unknown)"),
    ],
)
def test_without_an_error_message_exit_code_and_phase_are_named(
    log: Log, exit_code: int | None, words: str
) -> None:
    verdict = judge(reader(until(log("chiapos-k18"), b"Computing table 5")), exit_code, missing)
    assert isinstance(verdict, Failure)
    assert verdict.reason == f"The plotter {words} in phase 1:4, and logged no error."
    assert verdict.proven


def test_an_end_before_phase_1_quotes_the_last_line() -> None:
    # chia 2.7.5 where CHIA_ROOT is a folder without settings.
    said = (
        b"can't find /x/config.yaml\n** please run `chia init` to migrate or create new config files **\n\n"
    )
    verdict = judge(reader(said), 255, missing)
    assert isinstance(verdict, Failure)
    assert verdict.reason == (
        "The plotter exited with 255 before phase 1, its last line: "
        "** please run `chia init` to migrate or create new config files **"
    )


def test_a_plotter_without_any_log_is_a_failure_without_a_tail() -> None:
    verdict = judge(reader(b""), 127, there)
    assert isinstance(verdict, Failure)
    assert verdict.tail == ""
    assert not verdict.proven


def test_a_failure_lists_the_plots_made_before_it(log: Log) -> None:
    whole = log("chiapos-k18-n2-other-filesystem")
    second = whole.index(b"Starting plotting progress", whole.index(b"Renamed final file"))
    data = whole[: second + 2000]
    verdict = judge(reader(data, n=2), -9, lambda path: "3e42ec" in path)
    assert isinstance(verdict, Failure)
    assert [plot.plot_id and plot.plot_id[:6] for plot in verdict.plots] == ["3e42ec"]


def test_the_tail_leaves_out_the_noise(log: Log) -> None:
    tail = reader(until(log("chiapos-k18"), b"Time for phase 1")).tail(3)
    assert "Bucket" not in tail
    assert tail.splitlines()[-2].strip().startswith("Total matches")


def test_a_line_without_end_is_quoted_in_part() -> None:
    log = reader(b"x" * 1_000_000)
    failure = judge(log, 1, missing)
    assert isinstance(failure, Failure)
    assert failure.reason == f"The plotter exited with 1 before phase 1, its last line: {'x' * 500}"
    assert failure.tail == "x" * 500
